/* A guest in C: everything that polyhost.h offers, each in one export of raw bytes.
 *
 *     cc -shared -fPIC -I bridge/include guest.c -o libguest.so
 *     polyhost call native:./libguest.so raw/Echo --input hello
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <polyhost.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXPORTS = 8, MODULES = 1024 };

static const PolyhostHost *host;

/* The state of one loaded module. */
typedef struct Module {
    uint64_t host_id;
    atomic_int count;
    PolyhostExport exports[EXPORTS];
} Module;

/* Every module has a place of its own, which is never used again: the ids of its functions are made from it. */
static _Atomic(Module *) modules[MODULES];
static atomic_uint opened_modules;

typedef PolyhostStatus (*Handler)(Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output);

static PolyhostStatus echo(Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    (void)module, (void)call;
    return polyhost_write(host, output, input.data, input.len);
}

/* The first byte is the status, the rest the message. */
static PolyhostStatus fail(Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    (void)module, (void)output;
    if (input.len == 0) return polyhost_fail(host, call, POLYHOST_INVALID_ARGUMENT, "no status given");
    PolyhostSlice message = {input.data + 1, input.len - 1};
    if (message.len > 0) host->error(call, message);
    return input.data[0];
}

/* How often this module was asked. */
static PolyhostStatus count(Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    (void)call, (void)input;
    char text[16];
    int len = snprintf(text, sizeof text, "%d", atomic_fetch_add(&module->count, 1) + 1);
    return polyhost_write(host, output, text, (size_t)len);
}

/* Passes its input to the host service `host/Echo`, twice, and a failure on as it is. */
static PolyhostStatus service(Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    (void)module;
    uint32_t id;
    PolyhostStatus status = host->service_find(call, polyhost_text("host/Echo"), &id);
    for (int i = 0; i < 2 && status == POLYHOST_OK; i++) status = host->service_call(call, id, input, output);
    if (status == POLYHOST_OK) return status;

    PolyhostOutput *report = host->output_new(0);
    PolyhostSlice message;
    if (report && host->service_error(call, report, &message) == POLYHOST_OK) {
        PolyhostSlice bytes = {report->data, report->len};
        host->error_report(call, bytes);
    }
    host->output_free(report);
    return status;
}

/* Lines of `key=value`. */
static PolyhostStatus metadata(Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    (void)module, (void)input;
    PolyhostSlice key, value;
    for (size_t i = 0; host->metadata(call, i, &key, &value) == POLYHOST_OK; i++) {
        PolyhostStatus status = polyhost_write(host, output, key.data, key.len);
        if (status == POLYHOST_OK) status = polyhost_write(host, output, "=", 1);
        if (status == POLYHOST_OK) status = polyhost_write(host, output, value.data, value.len);
        if (status == POLYHOST_OK) status = polyhost_write(host, output, "\n", 1);
        if (status != POLYHOST_OK) return status;
    }
    return POLYHOST_OK;
}

static PolyhostStatus write_log(Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    (void)output;
    host->log(module->host_id, call, POLYHOST_LOG_WARN, polyhost_text("c"), input);
    return POLYHOST_OK;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some_call_cancelled = PTHREAD_COND_INITIALIZER;

/* Sleeps until the host says through `cancel` that it is to stop. */
static PolyhostStatus wait_for_cancel(Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    (void)module, (void)input, (void)output;
    if (host->watch(call) == 0) {
        return polyhost_fail(host, call, POLYHOST_FAILED_PRECONDITION, "nothing can cancel this call");
    }
    pthread_mutex_lock(&lock);
    PolyhostStatus status;
    while ((status = host->cancelled(call)) == POLYHOST_OK) pthread_cond_wait(&some_call_cancelled, &lock);
    pthread_mutex_unlock(&lock);
    return status;
}

/* Which of those that wait it was, each sees for itself. */
static void cancel(uint64_t id) {
    (void)id;
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&some_call_cancelled);
    pthread_mutex_unlock(&lock);
}

static PolyhostStatus remaining(Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    (void)module, (void)input;
    char text[24];
    int len = snprintf(text, sizeof text, "%lld", (long long)host->remaining(call));
    return polyhost_write(host, output, text, (size_t)len);
}

static const struct {
    const char *name, *doc;
    Handler handler;
} handlers[EXPORTS] = {
    {"raw/Count", "Counts its calls.", count},
    {"raw/Echo", "Returns its input.", echo},
    {"raw/Fail", "Fails with the status in the first byte.", fail},
    {"raw/Log", "Writes its input to the log.", write_log},
    {"raw/Metadata", "Returns the metadata of the call.", metadata},
    {"raw/Remaining", "Returns the nanoseconds left.", remaining},
    {"raw/Service", "Calls host/Echo twice.", service},
    {"raw/WaitForCancel", "Returns when it is cancelled.", wait_for_cancel},
};

static PolyhostStatus open_module(PolyhostCall *call, const PolyhostSource *source, PolyhostModule *opened) {
    unsigned place = atomic_fetch_add(&opened_modules, 1);
    Module *module = place < MODULES ? calloc(1, sizeof *module) : NULL;
    if (!module) return polyhost_fail(host, call, POLYHOST_RESOURCE_EXHAUSTED, "no place for another module");
    module->host_id = source->module;
    for (unsigned i = 0; i < EXPORTS; i++) {
        module->exports[i] = (PolyhostExport){
            .size = sizeof(PolyhostExport),
            .function = place * EXPORTS + i,
            .name = polyhost_text(handlers[i].name),
            .doc = polyhost_text(handlers[i].doc),
        };
    }
    atomic_store(&modules[place], module);
    opened->module = place;
    opened->exports = module->exports;
    opened->exports_len = EXPORTS;
    return POLYHOST_OK;
}

static PolyhostStatus close_module(PolyhostCall *call, uint64_t place, PolyhostOutput *held) {
    (void)call, (void)held;
    free(atomic_exchange(&modules[place], NULL));
    return POLYHOST_OK;
}

static PolyhostStatus call_export(uint64_t function, PolyhostCall *call, const uint8_t *input, size_t input_len,
                                  PolyhostOutput *output) {
    Module *module = atomic_load(&modules[function / EXPORTS]);
    if (!module) return POLYHOST_NOT_FOUND;
    PolyhostSlice slice = {input, input_len};
    return handlers[function % EXPORTS].handler(module, call, slice, output);
}

PolyhostStatus polyhost_guest(const PolyhostHost *table, PolyhostGuest *guest, PolyhostSlice *reason) {
    if (table->abi_major != POLYHOST_ABI_MAJOR) {
        *reason = polyhost_text("this guest was built for another major version of polyhost.h");
        return POLYHOST_FAILED_PRECONDITION;
    }
    host = table;
    guest->abi_major = POLYHOST_ABI_MAJOR;
    guest->abi_minor = POLYHOST_ABI_MINOR;
    guest->name = polyhost_text("sample in C");
    guest->version = polyhost_text("1");
    guest->open = open_module;
    guest->close = close_module;
    guest->call = call_export;
    guest->cancel = cancel;
    return POLYHOST_OK;
}
