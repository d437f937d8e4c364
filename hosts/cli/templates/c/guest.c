/* A guest: functions that a host calls by name, behind polyhost.h. Other threads may call at the same time. */
#include <stdatomic.h>
#include <stdlib.h>

#include "polyhost.h"
#include "protobuf.h"

/* What the host offers: its outputs, services, log. polyhost.h tells all of it. */
static const PolyhostHost *host;

/* ---- the exports ---- */

static PolyhostStatus say_hello(PolyhostCall *call, PolyhostSlice request, PolyhostOutput *reply) {
    PolyhostSlice name = {NULL, 0};
    Reader reader = reader_of(request);
    while (reader.at < reader.end) {
        Field field;
        if (!read_field(&reader, &field, 0)) {
            return polyhost_fail(host, call, POLYHOST_INVALID_ARGUMENT, "the request is no greeter.v1.HelloRequest");
        }
        if (field.number == 1 && field.wire_type == LEN) name = field.bytes;
    }
    /* The caller gets the code and the message, in whatever language it is written. */
    if (name.len == 0) return polyhost_fail(host, call, POLYHOST_INVALID_ARGUMENT, "name is empty");
    if (!is_utf8(name)) return polyhost_fail(host, call, POLYHOST_INVALID_ARGUMENT, "name is not UTF-8");

    static const char hello[] = "Hello, ";
    size_t hello_len = sizeof hello - 1;
    Writer writer = writer_to(host, reply);
    write_prefix(&writer, 1, hello_len + name.len + 1);
    write_bytes(&writer, hello, hello_len);
    write_bytes(&writer, name.data, name.len);
    write_bytes(&writer, "!", 1);
    return writer.status;
}

/* The name is what hosts call it by: package.Service/Method of greeter.proto. */
static const struct {
    const char *name, *request, *reply, *doc;
    PolyhostStatus (*run)(PolyhostCall *call, PolyhostSlice request, PolyhostOutput *reply);
} exports[] = {
    {"greeter.v1.Greeter/SayHello", "greeter.v1.HelloRequest", "greeter.v1.HelloReply", "Greets by name.", say_hello},
};

/* The types of the messages, a FileDescriptorSet, so that hosts can turn them into JSON and back. */
static const uint8_t descriptors[] = {
#include "descriptors.inc"
};

/* ---- what the host asks for: nothing here has to change for another export ---- */

enum { EXPORTS = sizeof exports / sizeof exports[0] };

/* Every load is a module of its own. Its functions' ids must never be used again, so they are counted on. */
static atomic_ullong modules;

static PolyhostStatus open_module(PolyhostCall *call, const PolyhostSource *source, PolyhostModule *module) {
    (void)source;
    PolyhostExport *list = calloc(EXPORTS, sizeof *list);
    if (!list) return polyhost_fail(host, call, POLYHOST_RESOURCE_EXHAUSTED, "no memory");
    uint64_t number = atomic_fetch_add(&modules, 1);
    for (size_t i = 0; i < EXPORTS; i++) {
        list[i].size = sizeof list[i];
        list[i].function = number * EXPORTS + i;
        list[i].name = polyhost_text(exports[i].name);
        list[i].input_type = polyhost_text(exports[i].request);
        list[i].output_type = polyhost_text(exports[i].reply);
        list[i].doc = polyhost_text(exports[i].doc);
    }
    module->module = (uint64_t)(uintptr_t)list;
    module->exports = list;
    module->exports_len = EXPORTS;
    module->descriptors = (PolyhostSlice){descriptors, sizeof descriptors};
    return POLYHOST_OK;
}

static PolyhostStatus close_module(PolyhostCall *call, uint64_t module, PolyhostOutput *held) {
    (void)call, (void)held;
    free((void *)(uintptr_t)module);
    return POLYHOST_OK;
}

static PolyhostStatus call_export(uint64_t function, PolyhostCall *call, const uint8_t *input, size_t input_len,
                                  PolyhostOutput *output) {
    PolyhostSlice request = {input, input_len};
    return exports[function % EXPORTS].run(call, request, output);
}

PolyhostStatus polyhost_guest(const PolyhostHost *table, PolyhostGuest *guest, PolyhostSlice *reason) {
    if (table->abi_major != POLYHOST_ABI_MAJOR) {
        *reason = polyhost_text("this guest was built for another major version of polyhost.h");
        return POLYHOST_FAILED_PRECONDITION;
    }
    host = table;
    guest->abi_major = POLYHOST_ABI_MAJOR;
    guest->abi_minor = POLYHOST_ABI_MINOR;
    guest->name = polyhost_text("my_project");
    guest->version = polyhost_text("0.1.0");
    guest->open = open_module;
    guest->close = close_module;
    guest->call = call_export;
    return POLYHOST_OK;
}
