/* What the bench calls in C. Built by build.rs. */
#include <polyhost.h>

static const PolyhostHost *host;

typedef PolyhostStatus (*Handler)(PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output);

static PolyhostStatus echo(PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    (void)call;
    return polyhost_write(host, output, input.data, input.len);
}

static const struct {
    const char *name;
    Handler handler;
} handlers[] = {
    {"bench/Echo", echo},
};

enum { EXPORTS = sizeof handlers / sizeof handlers[0] };

/* The same for every module: they have no state. */
static PolyhostExport exports[EXPORTS];

static PolyhostStatus open_module(PolyhostCall *call, const PolyhostSource *source, PolyhostModule *module) {
    (void)call, (void)source;
    module->exports = exports;
    module->exports_len = EXPORTS;
    return POLYHOST_OK;
}

static PolyhostStatus close_module(PolyhostCall *call, uint64_t module, PolyhostOutput *held) {
    (void)call, (void)module, (void)held;
    return POLYHOST_OK;
}

static PolyhostStatus call_function(uint64_t function, PolyhostCall *call, const uint8_t *input, size_t input_len,
                                    PolyhostOutput *output) {
    if (function >= EXPORTS) return POLYHOST_NOT_FOUND;
    PolyhostSlice slice = {input, input_len};
    return handlers[function].handler(call, slice, output);
}

static void cancel(uint64_t id) {
    (void)id;
}

PolyhostStatus polyhost_guest(const PolyhostHost *table, PolyhostGuest *guest, PolyhostSlice *reason) {
    if (table->abi_major != POLYHOST_ABI_MAJOR) {
        *reason = polyhost_text("this guest was built for another major version of polyhost.h");
        return POLYHOST_FAILED_PRECONDITION;
    }
    host = table;
    for (uint64_t i = 0; i < EXPORTS; i++) {
        exports[i].size = sizeof exports[i];
        exports[i].function = i;
        exports[i].name = polyhost_text(handlers[i].name);
    }
    guest->abi_major = POLYHOST_ABI_MAJOR;
    guest->abi_minor = POLYHOST_ABI_MINOR;
    guest->name = polyhost_text("bench");
    guest->version = polyhost_text("1");
    guest->open = open_module;
    guest->close = close_module;
    guest->call = call_function;
    guest->cancel = cancel;
    return POLYHOST_OK;
}
