/* What the bench's guests in C share: a table of exports becomes a guest.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_H
#define GUEST_H

#include <stdlib.h>

#include "protobuf.h"

/* Of the module that a call is for. */
typedef struct Module Module;

typedef PolyhostStatus (*Method)(const Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output);

typedef struct Entry {
    const char *name;
    /* Null for raw bytes. */
    const char *input_type;
    const char *output_type;
    Method method;
} Entry;

enum { MAX_ENTRIES = 8 };

struct Module {
    /* The id of `bench.v1.Host/Next`, which is another for each module. */
    uint32_t next;
    bool has_next;
    PolyhostExport exports[MAX_ENTRIES];
};

static const PolyhostHost *s_host;

/* The guest's own: its exports, ended by one without a name. */
static const Entry s_entries[MAX_ENTRIES];

static inline PolyhostStatus not_a(PolyhostCall *call, const char *message) {
    return polyhost_fail(s_host, call, POLYHOST_INVALID_ARGUMENT, message);
}

/* ---- bench.v1.Stages/Repeat ---- */

/* These guests read while they work and write while they read, so there is one stage: all of it. */
static PolyhostStatus repeat(const Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    enum { STAGE_ENCODE = 3 };
    PolyhostSlice name = polyhost_text("");
    uint64_t stage = 0, times = 0, count = 0;
    Reader reader = reader_of(input);
    Field field;
    while (reader.at < reader.end) {
        if (!read_field(&reader, &field, 0)) return not_a(call, "the input is no bench.v1.RepeatRequest");
        if (field.number == 1 && !read_string(&field, &name)) return not_a(call, "the method is no UTF-8");
        if (field.number == 2 && field.wire_type == VARINT) stage = field.value;
        if (field.number == 3 && field.wire_type == VARINT) times = field.value;
        if (field.number == 4 && field.wire_type == LEN) count++;
    }
    if (stage != STAGE_ENCODE) {
        return polyhost_fail(s_host, call, POLYHOST_UNIMPLEMENTED, "guests in C have STAGE_ENCODE alone");
    }
    Method method = NULL;
    for (const Entry *entry = s_entries; entry->name; entry++) {
        if (name.len == strlen(entry->name) && memcmp(name.data, entry->name, name.len) == 0) method = entry->method;
    }
    if (!method || method == repeat) return polyhost_fail(s_host, call, POLYHOST_NOT_FOUND, "no such method");
    if (times > 0 && count == 0) return not_a(call, "there are no inputs");
    PolyhostOutput *reply = s_host->output_new(SIZE_MAX);
    if (!reply) return polyhost_fail(s_host, call, POLYHOST_RESOURCE_EXHAUSTED, "no memory for the reply");
    PolyhostStatus status = POLYHOST_OK;
    reader = reader_of(input);
    for (uint64_t i = 0; i < times && status == POLYHOST_OK;) {
        if (reader.at == reader.end) reader = reader_of(input);
        if (!read_field(&reader, &field, 0) || field.number != 4 || field.wire_type != LEN) continue;
        reply->len = 0;
        status = method(module, call, field.bytes, reply);
        i++;
    }
    Writer writer = {s_host, output, status};
    PolyhostSlice bytes = {reply->data, reply->len};
    write_field(&writer, 1, bytes);
    s_host->output_free(reply);
    return writer.status;
}

/* ---- bench.v1.About/Facts ---- */

#ifdef __OPTIMIZE__
#define OPTIMIZED "optimized"
#else
#define OPTIMIZED "not optimized"
#endif

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "GCC " __VERSION__
#endif

/* A line `NAME: VALUE` each. */
static PolyhostStatus facts(const Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    (void)module, (void)call, (void)input;
    static const char text[] = "compiler: " COMPILER ", " OPTIMIZED "\nprotobuf: by hand, in place\n";
    return polyhost_write(s_host, output, text, sizeof text - 1);
}

/* ---- the tables ---- */

static PolyhostStatus open_module(PolyhostCall *call, const PolyhostSource *source, PolyhostModule *opened) {
    (void)source;
    Module *module = calloc(1, sizeof *module);
    if (!module) return polyhost_fail(s_host, call, POLYHOST_RESOURCE_EXHAUSTED, "no memory for the module");
    module->has_next = s_host->service_find(call, polyhost_text("bench.v1.Host/Next"), &module->next) == POLYHOST_OK;
    size_t len = 0;
    for (; s_entries[len].name; len++) {
        PolyhostExport *export = &module->exports[len];
        export->size = sizeof *export;
        /* Memory from calloc lies at multiples of 16, so the low bits are free for the entry. */
        export->function = (uint64_t)(uintptr_t)module | len;
        export->name = polyhost_text(s_entries[len].name);
        export->input_type = polyhost_text(s_entries[len].input_type);
        export->output_type = polyhost_text(s_entries[len].output_type);
    }
    opened->module = (uint64_t)(uintptr_t)module;
    opened->exports = module->exports;
    opened->exports_len = len;
    return POLYHOST_OK;
}

static PolyhostStatus close_module(PolyhostCall *call, uint64_t module, PolyhostOutput *held) {
    (void)call, (void)held;
    free((Module *)(uintptr_t)module);
    return POLYHOST_OK;
}

static PolyhostStatus call_export(uint64_t function, PolyhostCall *call, const uint8_t *input, size_t input_len,
                                  PolyhostOutput *output) {
    /* An empty input may come as null, which pointer arithmetic does not allow. */
    PolyhostSlice bytes = {input ? input : (const uint8_t *)"", input_len};
    const Module *module = (const Module *)(uintptr_t)(function & ~(uint64_t)(MAX_ENTRIES - 1));
    return s_entries[function & (MAX_ENTRIES - 1)].method(module, call, bytes, output);
}

static void cancel(uint64_t id) {
    (void)id; /* Nobody asks for it by `watch`. */
}

PolyhostStatus polyhost_guest(const PolyhostHost *host, PolyhostGuest *guest, PolyhostSlice *reason) {
    if (host->abi_major != POLYHOST_ABI_MAJOR) {
        *reason = polyhost_text("this guest was built for another major version of polyhost.h");
        return POLYHOST_FAILED_PRECONDITION;
    }
    s_host = host;
    guest->abi_major = POLYHOST_ABI_MAJOR;
    guest->abi_minor = POLYHOST_ABI_MINOR;
    guest->name = polyhost_text("bench in C");
    guest->version = polyhost_text("1.0");
    guest->open = open_module;
    guest->close = close_module;
    guest->call = call_export;
    guest->cancel = cancel;
    return POLYHOST_OK;
}

#endif
