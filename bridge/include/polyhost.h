/* polyhost.h - the C ABI between a Polyhost host and a guest.
 *
 * A guest is either a shared library that exports `polyhost_guest`, or a
 * runtime's resident shim (the CLR's) whose bootstrap takes the same tables.
 * Only bytes, ids and a status cross. No exception, longjmp or panic may leave
 * a function of either table.
 *
 * Versions. A host loads a guest of the same major version whose minor version
 * is not above its own. Structs begin with their size in bytes as the side
 * that filled them knows it, and are only ever appended to: read no field
 * that lies beyond `size`.
 *
 * Threads. Every function of both tables may be called on any thread, also at
 * the same time. A call runs on the thread that makes it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef POLYHOST_H
#define POLYHOST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define POLYHOST_ABI_MAJOR 1
#define POLYHOST_ABI_MINOR 1

/* A canonical gRPC status code. Each function that can fail returns one. */
typedef int32_t PolyhostStatus;
enum {
    POLYHOST_OK = 0,
    POLYHOST_CANCELLED = 1,
    POLYHOST_UNKNOWN = 2,
    POLYHOST_INVALID_ARGUMENT = 3,
    POLYHOST_DEADLINE_EXCEEDED = 4,
    POLYHOST_NOT_FOUND = 5,
    POLYHOST_ALREADY_EXISTS = 6,
    POLYHOST_PERMISSION_DENIED = 7,
    POLYHOST_RESOURCE_EXHAUSTED = 8,
    POLYHOST_FAILED_PRECONDITION = 9,
    POLYHOST_ABORTED = 10,
    POLYHOST_OUT_OF_RANGE = 11,
    POLYHOST_UNIMPLEMENTED = 12,
    POLYHOST_INTERNAL = 13,
    POLYHOST_UNAVAILABLE = 14,
    POLYHOST_DATA_LOSS = 15,
    POLYHOST_UNAUTHENTICATED = 16
};

enum {
    POLYHOST_LOG_TRACE = 1,
    POLYHOST_LOG_DEBUG = 2,
    POLYHOST_LOG_INFO = 3,
    POLYHOST_LOG_WARN = 4,
    POLYHOST_LOG_ERROR = 5
};

/* Borrowed bytes. `data` may be null where `len` is 0. Text is UTF-8 without a closing zero. */
typedef struct PolyhostSlice {
    const uint8_t *data;
    size_t len;
} PolyhostSlice;

/* A buffer that the host owns and a guest appends to.
 *
 * Write to `data + len`, at most `capacity - len` bytes, and add what was
 * written to `len`. Where more room is needed call `output_reserve`, which may
 * move `data`. Never free it, and never keep it after the call it came with. */
typedef struct PolyhostOutput {
    uint8_t *data;
    size_t len;
    size_t capacity;
    /* `len` may never pass it; `output_reserve` refuses. */
    size_t limit;
} PolyhostOutput;

/* A call in progress. Host-owned; valid until the function it was passed to returns. */
typedef struct PolyhostCall PolyhostCall;

/* What a host offers. Owned by the host, valid as long as the process. */
typedef struct PolyhostHost {
    uint32_t size;
    uint16_t abi_major;
    uint16_t abi_minor;

    /* Makes room for `additional` more bytes. POLYHOST_RESOURCE_EXHAUSTED over the limit. */
    PolyhostStatus (*output_reserve)(PolyhostOutput *output, size_t additional);
    /* A buffer for a service's reply. Freed by `output_free`, by the guest, once. Null for want of memory. */
    PolyhostOutput *(*output_new)(size_t limit);
    void (*output_free)(PolyhostOutput *output);

    /* POLYHOST_OK while the call may go on, else POLYHOST_CANCELLED or POLYHOST_DEADLINE_EXCEEDED. Costs one load. */
    PolyhostStatus (*cancelled)(const PolyhostCall *call);
    /* Nanoseconds left, 0 when past, INT64_MAX without a deadline. Reads the clock. */
    int64_t (*remaining)(const PolyhostCall *call);
    /* The metadata entry at `index`, in order; POLYHOST_OUT_OF_RANGE behind the last. Borrowed until the call ends. */
    PolyhostStatus (*metadata)(const PolyhostCall *call, size_t index, PolyhostSlice *key, PolyhostSlice *value);
    /* Asks for `PolyhostGuest.cancel(id)` when this call is cancelled or runs out of time (at once if it has).
     * The id is never 0 and never used again; asking twice gives the same id. 0 where nothing can cancel this call. */
    uint64_t (*watch)(PolyhostCall *call);

    /* Finds a host service by name for the module that `call` runs in. POLYHOST_NOT_FOUND if it has none of that name.
     * The id is good for that module as long as it is open. */
    PolyhostStatus (*service_find)(PolyhostCall *call, PolyhostSlice name, uint32_t *service);
    /* Calls a host service and appends its reply. A failure's report can be fetched by `service_error`. */
    PolyhostStatus (*service_call)(PolyhostCall *call, uint32_t service, PolyhostSlice input, PolyhostOutput *output);
    /* Appends the failure of the last `service_find` or `service_call` of `call` on this thread,
     * a polyhost.v1.Error, and writes its one line to `message` (borrowed until this thread's next call of this table). */
    PolyhostStatus (*service_error)(PolyhostCall *call, PolyhostOutput *report, PolyhostSlice *message);

    /* Says why the function that is about to return a status other than OK failed: one line of text. */
    void (*error)(PolyhostCall *call, PolyhostSlice message);
    /* The same with everything known, a polyhost.v1.Error (see error.proto). */
    void (*error_report)(PolyhostCall *call, PolyhostSlice report);

    /* Writes to the host's log. `module` is the host's id of the module (PolyhostSource.module); `call` may be null. */
    void (*log)(uint64_t module, const PolyhostCall *call, int32_t level, PolyhostSlice target, PolyhostSlice message);
} PolyhostHost;

enum {
    /* The guest itself is the module (a shared library). */
    POLYHOST_SOURCE_SELF = 0,
    /* `name` is an absolute path. */
    POLYHOST_SOURCE_PATH = 1,
    /* `data` is the content, `name` what to call it. */
    POLYHOST_SOURCE_BYTES = 2,
    /* `data` is source text, `name` what to call it. */
    POLYHOST_SOURCE_TEXT = 3
};

/* What to load. Host-owned, valid until `open` returns. */
typedef struct PolyhostSource {
    uint32_t size;
    uint32_t kind;
    PolyhostSlice name;
    PolyhostSlice data;
    /* The host's id of the new module, for `log` outside of a call. */
    uint64_t module;
    /* Options of the host, `key=value` lines. */
    PolyhostSlice options;
} PolyhostSource;

/* One entry a host can call. */
typedef struct PolyhostExport {
    uint32_t size;
    uint32_t reserved;
    /* What to pass to `call`. Ids are the guest's own and never used again after `close`. */
    uint64_t function;
    /* `pkg.Service/Method` or any other name. */
    PolyhostSlice name;
    /* Full names of the protobuf messages; empty for raw bytes. */
    PolyhostSlice input_type;
    PolyhostSlice output_type;
    /* For people: what the export does. May be empty. */
    PolyhostSlice doc;
} PolyhostExport;

/* A loaded module. Filled by `open`; what it points to is guest-owned and valid until `close`. */
typedef struct PolyhostModule {
    uint32_t size;
    uint32_t reserved;
    /* The guest's id of the module, for `close`. */
    uint64_t module;
    const PolyhostExport *exports;
    size_t exports_len;
    /* A serialized google.protobuf.FileDescriptorSet with every message type named above, or empty. */
    PolyhostSlice descriptors;
} PolyhostModule;

/* What a guest offers. The host passes a zeroed struct with `size` set; the guest fills it. */
typedef struct PolyhostGuest {
    uint32_t size;
    uint16_t abi_major;
    uint16_t abi_minor;
    /* Name and version of the guest or its runtime. Guest-owned, valid as long as the process. */
    PolyhostSlice name;
    PolyhostSlice version;

    PolyhostStatus (*open)(PolyhostCall *call, const PolyhostSource *source, PolyhostModule *module);
    /* Unloads. No call of the module is inside, and none comes again. Appends what still holds the module to `held`, a line each; nothing if it is gone. Where the limit of
     * `held` is 0 nobody asks, and a guest may save itself the search. */
    PolyhostStatus (*close)(PolyhostCall *call, uint64_t module, PolyhostOutput *held);
    /* Runs an export. `input` is host memory, borrowed until return, never to be written to.
     * An id that is not (or no longer) good gives POLYHOST_NOT_FOUND. */
    PolyhostStatus (*call)(uint64_t function, PolyhostCall *call, const uint8_t *input, size_t input_len,
                           PolyhostOutput *output);
    /* The call that got `id` from `watch` is to stop. May come from any thread, also after the call has ended. Quick. */
    void (*cancel)(uint64_t id);
    /* The host will make no call again. May be null. */
    void (*shutdown)(void);
    /* Since 1.1. How many bytes the heap of the guest's runtime takes. May be null. Quick; comes from any thread. */
    uint64_t (*heap)(void);
} PolyhostGuest;

/* The symbol a shared library exports. `host` is valid as long as the process.
 * POLYHOST_FAILED_PRECONDITION where the guest can't work with this host; it then says why in `reason`
 * (guest-owned, valid as long as the process). */
PolyhostStatus polyhost_guest(const PolyhostHost *host, PolyhostGuest *guest, PolyhostSlice *reason);
typedef PolyhostStatus (*PolyhostGuestEntry)(const PolyhostHost *host, PolyhostGuest *guest, PolyhostSlice *reason);

/* ---- conveniences for guests in C and C++; no part of the ABI ---- */

static inline PolyhostSlice polyhost_text(const char *text) {
    PolyhostSlice slice = {(const uint8_t *)text, text ? strlen(text) : 0};
    return slice;
}

/* Appends `len` bytes to `output`. */
static inline PolyhostStatus polyhost_write(const PolyhostHost *host, PolyhostOutput *output, const void *data,
                                            size_t len) {
    if (len == 0) return POLYHOST_OK;
    if (output->capacity - output->len < len) {
        PolyhostStatus status = host->output_reserve(output, len);
        if (status != POLYHOST_OK) return status;
    }
    memcpy(output->data + output->len, data, len);
    output->len += len;
    return POLYHOST_OK;
}

/* The first metadata value of `key`, empty if there is none; borrowed until the call ends. A call that belongs to a trace
 * has a "traceparent" and perhaps a "tracestate", as the W3C's trace context has them. */
static inline PolyhostSlice polyhost_metadata(const PolyhostHost *host, const PolyhostCall *call, const char *key) {
    PolyhostSlice name, value, wanted = polyhost_text(key);
    for (size_t i = 0; host->metadata(call, i, &name, &value) == POLYHOST_OK; i++)
        if (name.len == wanted.len && memcmp(name.data, wanted.data, wanted.len) == 0) return value;
    return polyhost_text("");
}

/* Says why and returns `status`, to be returned by the caller. */
static inline PolyhostStatus polyhost_fail(const PolyhostHost *host, PolyhostCall *call, PolyhostStatus status,
                                           const char *message) {
    host->error(call, polyhost_text(message));
    return status;
}

#ifdef __cplusplus
}
#endif
#endif
