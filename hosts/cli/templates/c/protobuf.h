/* A small reader and writer of protobuf (https://protobuf.dev/programming-guides/encoding/) for guests in C that have no
 * library for it: fields one after the other, texts, and maps of texts. For larger messages take a library, such as
 * nanopb, protobuf-c or upb.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTOBUF_H
#define PROTOBUF_H

#include <stdbool.h>

#include "polyhost.h"

/* ---- reading ---- */

typedef struct Reader {
    const uint8_t *at;
    const uint8_t *end;
} Reader;

typedef struct Field {
    uint32_t number;
    uint32_t wire_type;
    /* Of VARINT. */
    uint64_t value;
    /* Of LEN, I64 and I32. */
    PolyhostSlice bytes;
} Field;

enum { VARINT = 0, I64 = 1, LEN = 2, GROUP = 3, END_GROUP = 4, I32 = 5, MAX_DEPTH = 100 };

static inline Reader reader_of(PolyhostSlice bytes) {
    Reader reader = {bytes.data, bytes.data + bytes.len};
    return reader;
}

static inline bool read_varint(Reader *reader, uint64_t *value) {
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

static inline bool take(Reader *reader, uint64_t len, PolyhostSlice *bytes) {
    if ((uint64_t)(reader->end - reader->at) < len) return false;
    bytes->data = reader->at;
    bytes->len = (size_t)len;
    reader->at += len;
    return true;
}

static inline bool read_field(Reader *reader, Field *field, int depth);

static inline bool skip_group(Reader *reader, uint32_t number, int depth) {
    Field field;
    while (read_field(reader, &field, depth + 1)) {
        if (field.wire_type == END_GROUP) return field.number == number;
    }
    return false;
}

/* Reads one field; false at what is no protobuf. `depth` is 0, but in groups. */
static inline bool read_field(Reader *reader, Field *field, int depth) {
    uint64_t tag, len;
    if (depth > MAX_DEPTH || !read_varint(reader, &tag) || tag > UINT32_MAX || tag >> 3 == 0) return false;
    field->number = (uint32_t)tag >> 3;
    field->wire_type = (uint32_t)tag & 7;
    switch (field->wire_type) {
        case VARINT: return read_varint(reader, &field->value);
        case I64: return take(reader, 8, &field->bytes);
        case LEN: return read_varint(reader, &len) && take(reader, len, &field->bytes);
        case GROUP: return skip_group(reader, field->number, depth);
        case END_GROUP: return depth > 0;
        case I32: return take(reader, 4, &field->bytes);
        default: return false;
    }
}

/* Whether the text is UTF-8 as RFC 3629 has it, which protobuf asks of strings: shortest forms, no surrogates, nothing
 * above U+10FFFF. */
static inline bool is_utf8(PolyhostSlice text) {
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
static inline bool read_string(const Field *field, PolyhostSlice *text) {
    if (field->wire_type != LEN) return true;
    *text = field->bytes;
    return is_utf8(*text);
}

/* Reads an entry of a map of strings. */
static inline bool read_pair(PolyhostSlice entry, PolyhostSlice *key, PolyhostSlice *value) {
    Reader reader = reader_of(entry);
    Field field;
    *key = *value = polyhost_text("");
    while (reader.at < reader.end) {
        if (!read_field(&reader, &field, 0)) return false;
        if (field.number == 1 && !read_string(&field, key)) return false;
        if (field.number == 2 && !read_string(&field, value)) return false;
    }
    return true;
}

/* ---- writing ---- */

typedef struct Writer {
    const PolyhostHost *host;
    PolyhostOutput *output;
    /* The first failure; nothing is written after it. */
    PolyhostStatus status;
} Writer;

static inline Writer writer_to(const PolyhostHost *host, PolyhostOutput *output) {
    Writer writer = {host, output, POLYHOST_OK};
    return writer;
}

static inline void write_bytes(Writer *writer, const void *data, size_t len) {
    if (writer->status == POLYHOST_OK) writer->status = polyhost_write(writer->host, writer->output, data, len);
}

static inline void write_varint(Writer *writer, uint64_t value) {
    uint8_t bytes[10];
    size_t len = 0;
    do {
        bytes[len++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
    write_bytes(writer, bytes, len);
}

static inline void write_prefix(Writer *writer, uint32_t number, size_t len) {
    write_varint(writer, (uint64_t)number << 3 | LEN);
    write_varint(writer, len);
}

static inline void write_field(Writer *writer, uint32_t number, PolyhostSlice bytes) {
    write_prefix(writer, number, bytes.len);
    write_bytes(writer, bytes.data, bytes.len);
}

static inline size_t varint_size(uint64_t value) {
    size_t size = 1;
    for (; value > 0x7f; value >>= 7) size++;
    return size;
}

/* Of a field numbered below 16. */
static inline size_t field_size(PolyhostSlice bytes) {
    return 1 + varint_size(bytes.len) + bytes.len;
}

/* Writes an entry of a map of strings. */
static inline void write_pair(Writer *writer, uint32_t number, PolyhostSlice key, PolyhostSlice value) {
    write_prefix(writer, number, field_size(key) + field_size(value));
    write_field(writer, 1, key);
    write_field(writer, 2, value);
}

#endif
