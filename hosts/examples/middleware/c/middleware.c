/* The middleware's `Rewrite` in C, behind polyhost.h alone: paths and headers. Nothing is read beyond the request and
 * nothing kept of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "protobuf.h"

static const PolyhostHost *s_host;

/* ---- the middleware ---- */

typedef struct Request {
    PolyhostSlice path;
    PolyhostSlice body;
} Request;

/* Reads what stands once; checks everything. */
static bool read_request(PolyhostSlice input, Request *request) {
    Reader reader = reader_of(input);
    Field field;
    PolyhostSlice ignored, name, value;
    request->path = request->body = polyhost_text("");
    while (reader.at < reader.end) {
        if (!read_field(&reader, &field, 0)) return false;
        if (field.wire_type != LEN) continue;
        switch (field.number) {
            case 1: if (!read_string(&field, &ignored)) return false; break;
            case 2: if (!read_string(&field, &request->path)) return false; break;
            case 3: if (!read_pair(field.bytes, &name, &value)) return false; break;
            case 4: request->body = field.bytes; break;
        }
    }
    return true;
}

static bool is(PolyhostSlice text, const char *word) {
    return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

static bool starts_with(PolyhostSlice text, const char *word) {
    return text.len >= strlen(word) && memcmp(text.data, word, strlen(word)) == 0;
}

/* Writes the path without doubled slashes and the one at the end to `tidy`, which has room for all of it. */
static PolyhostSlice tidy_path(PolyhostSlice path, uint8_t *tidy) {
    size_t len = 0;
    for (size_t i = 0; i < path.len; i++) {
        if (path.data[i] != '/' || len == 0 || tidy[len - 1] != '/') tidy[len++] = path.data[i];
    }
    if (len > 1 && tidy[len - 1] == '/') len--;
    PolyhostSlice result = {tidy, len};
    return result;
}

/* Writes the new path; gives whether it had the prefix. */
static bool write_path(Writer *writer, PolyhostSlice path, uint8_t *scratch) {
    const uint8_t *mark = path.len ? memchr(path.data, '?', path.len) : NULL;
    size_t query_len = mark ? (size_t)(path.data + path.len - mark) : 0;
    PolyhostSlice query = {mark, query_len};
    path.len -= query_len;
    PolyhostSlice tidy = tidy_path(path, scratch);
    bool prefixed = starts_with(tidy, "/api/v1/");
    PolyhostSlice prefix = polyhost_text(prefixed ? "/internal/" : "");
    if (prefixed) {
        tidy.data += strlen("/api/v1/");
        tidy.len -= strlen("/api/v1/");
    }
    write_prefix(writer, 2, prefix.len + tidy.len + query.len);
    write_bytes(writer, prefix.data, prefix.len);
    write_bytes(writer, tidy.data, tidy.len);
    write_bytes(writer, query.data, query.len);
    return prefixed;
}

static void write_headers(Writer *writer, PolyhostSlice input, bool prefixed) {
    Reader reader = reader_of(input);
    Field field;
    PolyhostSlice name, value;
    while (reader.at < reader.end && read_field(&reader, &field, 0)) {
        if (field.number != 3 || field.wire_type != LEN || !read_pair(field.bytes, &name, &value)) continue;
        if (is(name, "connection") || is(name, "keep-alive") || is(name, "x-signature")) continue;
        write_pair(writer, 3, name, value);
    }
    /* Of two entries of one name the later one counts. */
    write_pair(writer, 3, polyhost_text("via"), polyhost_text("polyhost"));
    if (prefixed) write_pair(writer, 3, polyhost_text("x-forwarded-prefix"), polyhost_text("/api/v1"));
}

static PolyhostStatus rewrite(PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    Request request;
    if (!read_request(input, &request)) {
        return polyhost_fail(s_host, call, POLYHOST_INVALID_ARGUMENT, "the input is no bench.v1.Request");
    }
    uint8_t *scratch = malloc(request.path.len + 1);
    if (!scratch) return polyhost_fail(s_host, call, POLYHOST_RESOURCE_EXHAUSTED, "no memory for the path");
    Writer writer = writer_to(s_host, output);
    bool prefixed = write_path(&writer, request.path, scratch);
    free(scratch);
    write_headers(&writer, input, prefixed);
    write_field(&writer, 4, request.body);
    return writer.status;
}

/* ---- the guest ---- */

enum { REWRITE = 1, MODULE = 1 };

static PolyhostStatus call_export(uint64_t function, PolyhostCall *call, const uint8_t *input, size_t input_len,
                                  PolyhostOutput *output) {
    if (function != REWRITE) return polyhost_fail(s_host, call, POLYHOST_NOT_FOUND, "no export with this id");
    /* An empty input may come as null, which pointer arithmetic does not allow. */
    PolyhostSlice bytes = {input ? input : (const uint8_t *)"", input_len};
    return rewrite(call, bytes, output);
}

#define TEXT(text) {(const uint8_t *)(text), sizeof(text) - 1}

static const PolyhostExport s_exports[] = {{
    .size = sizeof(PolyhostExport),
    .function = REWRITE,
    .name = TEXT("bench.v1.Middleware/Rewrite"),
    .input_type = TEXT("bench.v1.Request"),
    .output_type = TEXT("bench.v1.Reply"),
    .doc = TEXT("Path and headers alone."),
}};

static PolyhostStatus open_module(PolyhostCall *call, const PolyhostSource *source, PolyhostModule *module) {
    (void)call, (void)source;
    module->module = MODULE;
    module->exports = s_exports;
    module->exports_len = 1;
    return POLYHOST_OK;
}

static PolyhostStatus close_module(PolyhostCall *call, uint64_t module, PolyhostOutput *held) {
    (void)call, (void)module, (void)held;
    return POLYHOST_OK;
}

static void cancel(uint64_t id) {
    (void)id; /* `Rewrite` is over before anybody could ask. */
}

PolyhostStatus polyhost_guest(const PolyhostHost *host, PolyhostGuest *guest, PolyhostSlice *reason) {
    if (host->abi_major != POLYHOST_ABI_MAJOR) {
        *reason = polyhost_text("this guest was built for another major version of polyhost.h");
        return POLYHOST_FAILED_PRECONDITION;
    }
    s_host = host;
    guest->abi_major = POLYHOST_ABI_MAJOR;
    guest->abi_minor = POLYHOST_ABI_MINOR;
    guest->name = polyhost_text("middleware in C");
    guest->version = polyhost_text("1.0");
    guest->open = open_module;
    guest->close = close_module;
    guest->call = call_export;
    guest->cancel = cancel;
    return POLYHOST_OK;
}
