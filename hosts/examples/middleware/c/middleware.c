/* The middleware's `Rewrite` in C, behind polyhost.h alone: paths and headers, with a reader and a writer of protobuf
 * by hand. Nothing is read beyond the request and nothing kept of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdlib.h>

#include "polyhost.h"

static const PolyhostHost *s_host;

/* ---- reading protobuf (https://protobuf.dev/programming-guides/encoding/) ---- */

typedef struct Reader {
    const uint8_t *at;
    const uint8_t *end;
} Reader;

typedef struct Field {
    uint32_t number;
    uint32_t wire_type;
    /* Of wire type 2 (LEN). */
    PolyhostSlice bytes;
} Field;

enum { VARINT = 0, I64 = 1, LEN = 2, GROUP = 3, END_GROUP = 4, I32 = 5, MAX_DEPTH = 100 };

static Reader reader_of(PolyhostSlice bytes) {
    Reader reader = {bytes.data, bytes.data + bytes.len};
    return reader;
}

static bool read_varint(Reader *reader, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (reader->at == reader->end) return false;
        uint8_t byte = *reader->at++;
        if (shift == 63 && byte > 1) return false;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

static bool take(Reader *reader, uint64_t len, PolyhostSlice *bytes) {
    if ((uint64_t)(reader->end - reader->at) < len) return false;
    bytes->data = reader->at;
    bytes->len = (size_t)len;
    reader->at += len;
    return true;
}

static bool read_field(Reader *reader, Field *field, int depth);

static bool skip_group(Reader *reader, uint32_t number, int depth) {
    Field field;
    while (read_field(reader, &field, depth + 1)) {
        if (field.wire_type == END_GROUP) return field.number == number;
    }
    return false;
}

/* Reads one field; false at what is no protobuf. */
static bool read_field(Reader *reader, Field *field, int depth) {
    uint64_t tag, value;
    if (depth > MAX_DEPTH || !read_varint(reader, &tag) || tag > UINT32_MAX || tag >> 3 == 0) return false;
    field->number = (uint32_t)tag >> 3;
    field->wire_type = (uint32_t)tag & 7;
    switch (field->wire_type) {
        case VARINT: return read_varint(reader, &value);
        case I64: return take(reader, 8, &field->bytes);
        case LEN: return read_varint(reader, &value) && take(reader, value, &field->bytes);
        case GROUP: return skip_group(reader, field->number, depth);
        case END_GROUP: return depth > 0;
        case I32: return take(reader, 4, &field->bytes);
        default: return false;
    }
}

/* Whether the text is UTF-8 as RFC 3629 has it: shortest forms, no surrogates, nothing above U+10FFFF. */
static bool is_utf8(PolyhostSlice text) {
    const uint8_t *at = text.data, *end = text.data + text.len;
    while (at < end) {
        uint8_t first = *at++;
        if (first < 0x80) continue;
        unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || (size_t)(end - at) < more) return false;
        uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        if (*at < low || *at > high) return false;
        for (at++; --more > 0; at++) {
            if ((*at & 0xc0) != 0x80) return false;
        }
    }
    return true;
}

/* Takes a string field's bytes; what another wire type carries under its number is no string of ours. */
static bool read_string(const Field *field, PolyhostSlice *text) {
    if (field->wire_type != LEN) return true;
    *text = field->bytes;
    return is_utf8(*text);
}

static bool read_header(PolyhostSlice entry, PolyhostSlice *name, PolyhostSlice *value) {
    Reader reader = reader_of(entry);
    Field field;
    *name = *value = polyhost_text("");
    while (reader.at < reader.end) {
        if (!read_field(&reader, &field, 0)) return false;
        if (field.number == 1 && !read_string(&field, name)) return false;
        if (field.number == 2 && !read_string(&field, value)) return false;
    }
    return true;
}

/* ---- writing it ---- */

typedef struct Writer {
    PolyhostOutput *output;
    /* The first failure; nothing is written after it. */
    PolyhostStatus status;
} Writer;

static void write_bytes(Writer *writer, const void *data, size_t len) {
    if (writer->status == POLYHOST_OK) writer->status = polyhost_write(s_host, writer->output, data, len);
}

static void write_varint(Writer *writer, uint64_t value) {
    uint8_t bytes[10];
    size_t len = 0;
    do {
        bytes[len++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
    write_bytes(writer, bytes, len);
}

static void write_prefix(Writer *writer, uint32_t number, size_t len) {
    write_varint(writer, (uint64_t)number << 3 | LEN);
    write_varint(writer, len);
}

static void write_field(Writer *writer, uint32_t number, PolyhostSlice bytes) {
    write_prefix(writer, number, bytes.len);
    write_bytes(writer, bytes.data, bytes.len);
}

static size_t field_size(PolyhostSlice bytes) {
    size_t size = 2 + bytes.len;
    for (size_t len = bytes.len; len > 0x7f; len >>= 7) size++;
    return size;
}

static void write_header(Writer *writer, PolyhostSlice name, PolyhostSlice value) {
    write_prefix(writer, 3, field_size(name) + field_size(value));
    write_field(writer, 1, name);
    write_field(writer, 2, value);
}

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
            case 3: if (!read_header(field.bytes, &name, &value)) return false; break;
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
        if (field.number != 3 || field.wire_type != LEN || !read_header(field.bytes, &name, &value)) continue;
        if (is(name, "connection") || is(name, "keep-alive") || is(name, "x-signature")) continue;
        write_header(writer, name, value);
    }
    /* Of two entries of one name the later one counts. */
    write_header(writer, polyhost_text("via"), polyhost_text("polyhost"));
    if (prefixed) write_header(writer, polyhost_text("x-forwarded-prefix"), polyhost_text("/api/v1"));
}

static PolyhostStatus rewrite(PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    Request request;
    if (!read_request(input, &request)) {
        return polyhost_fail(s_host, call, POLYHOST_INVALID_ARGUMENT, "the input is no bench.v1.Request");
    }
    uint8_t *scratch = malloc(request.path.len + 1);
    if (!scratch) return polyhost_fail(s_host, call, POLYHOST_RESOURCE_EXHAUSTED, "no memory for the path");
    Writer writer = {output, POLYHOST_OK};
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
