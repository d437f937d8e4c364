/* What the bench has every language do, in C; workloads.proto says what that is. Messages are read and written by hand.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"

static PolyhostStatus echo(const Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    (void)module, (void)call;
    return polyhost_write(s_host, output, input.data, input.len);
}

/* ---- Sum ---- */

static int64_t signed_of(uint64_t zigzag) {
    return (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
}

static bool add_integers(PolyhostSlice packed, int64_t *sum) {
    Reader reader = reader_of(packed);
    uint64_t value;
    while (reader.at < reader.end) {
        if (!read_varint(&reader, &value)) return false;
        *sum += signed_of(value);
    }
    return true;
}

static bool add_doubles(PolyhostSlice packed, double *sum) {
    double value;
    if (packed.len % sizeof value != 0) return false;
    for (size_t at = 0; at < packed.len; at += sizeof value) {
        memcpy(&value, packed.data + at, sizeof value);
        *sum += value;
    }
    return true;
}

static PolyhostStatus sum(const Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    (void)module;
    int64_t integers = 0;
    double doubles = 0;
    Reader reader = reader_of(input);
    Field field;
    while (reader.at < reader.end) {
        bool good = read_field(&reader, &field, 0);
        if (good && field.number == 1 && field.wire_type == LEN) good = add_integers(field.bytes, &integers);
        if (good && field.number == 1 && field.wire_type == VARINT) integers += signed_of(field.value);
        if (good && field.number == 2 && (field.wire_type == LEN || field.wire_type == I64)) {
            good = add_doubles(field.bytes, &doubles);
        }
        if (!good) return not_a(call, "the input is no bench.v1.SumRequest");
    }
    Writer writer = writer_to(s_host, output);
    write_varint(&writer, 1 << 3 | VARINT);
    write_varint(&writer, (uint64_t)integers << 1 ^ (uint64_t)(integers >> 63));
    write_varint(&writer, 2 << 3 | I64);
    write_bytes(&writer, &doubles, sizeof doubles);
    return writer.status;
}

/* ---- Transform ---- */

typedef struct Quantity {
    /* Borrowed from the input; null where nobody is. */
    PolyhostSlice sku;
    uint64_t sum;
} Quantity;

/* By sku. Never more than half full. */
typedef struct Quantities {
    Quantity *slots;
    size_t capacity;
    size_t len;
} Quantities;

static Quantity *find(Quantity *slots, size_t capacity, PolyhostSlice sku) {
    /* FNV-1a */
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < sku.len; i++) hash = (hash ^ sku.data[i]) * 0x100000001b3;
    for (size_t at = hash;; at++) {
        Quantity *slot = &slots[at & (capacity - 1)];
        bool same = slot->sku.data && slot->sku.len == sku.len && memcmp(slot->sku.data, sku.data, sku.len) == 0;
        if (same || !slot->sku.data) return slot;
    }
}

static bool grow(Quantities *quantities) {
    size_t capacity = quantities->capacity ? quantities->capacity * 2 : 32;
    Quantity *slots = calloc(capacity, sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < quantities->capacity; i++) {
        Quantity *old = &quantities->slots[i];
        if (old->sku.data) *find(slots, capacity, old->sku) = *old;
    }
    free(quantities->slots);
    quantities->slots = slots;
    quantities->capacity = capacity;
    return true;
}

static bool add_quantity(Quantities *quantities, PolyhostSlice sku, uint64_t quantity) {
    if (quantities->len * 2 >= quantities->capacity && !grow(quantities)) return false;
    Quantity *slot = find(quantities->slots, quantities->capacity, sku);
    if (!slot->sku.data) {
        slot->sku = sku;
        quantities->len++;
    }
    slot->sum += quantity;
    return true;
}

typedef struct Section {
    PolyhostSlice name;
    uint64_t lines;
    uint64_t total;
} Section;

static bool read_line(PolyhostSlice bytes, Section *section, Quantities *quantities) {
    PolyhostSlice sku = polyhost_text("");
    uint64_t quantity = 0, price = 0;
    Reader reader = reader_of(bytes);
    Field field;
    while (reader.at < reader.end) {
        if (!read_field(&reader, &field, 0)) return false;
        if (field.number == 1 && !read_string(&field, &sku)) return false;
        if (field.number == 2 && field.wire_type == VARINT) quantity = (uint32_t)field.value;
        if (field.number == 3 && field.wire_type == VARINT) price = (uint32_t)field.value;
    }
    section->lines++;
    section->total += quantity * price;
    return add_quantity(quantities, sku, quantity);
}

/* Without `quantities` only the name. */
static bool read_section(PolyhostSlice bytes, Section *section, Quantities *quantities) {
    Section none = {polyhost_text(""), 0, 0};
    *section = none;
    Reader reader = reader_of(bytes);
    Field field;
    while (reader.at < reader.end) {
        if (!read_field(&reader, &field, 0)) return false;
        if (field.number == 1 && !read_string(&field, &section->name)) return false;
        if (!quantities || field.number != 2 || field.wire_type != LEN) continue;
        if (!read_line(field.bytes, section, quantities)) return false;
    }
    return true;
}

static void write_label(Writer *writer, PolyhostSlice key, PolyhostSlice value) {
    size_t joined = key.len + 1 + value.len;
    write_prefix(writer, 2, field_size(key) + 1 + varint_size(joined) + joined);
    write_field(writer, 1, key);
    write_prefix(writer, 2, joined);
    write_bytes(writer, key.data, key.len);
    write_bytes(writer, "=", 1);
    write_bytes(writer, value.data, value.len);
}

static void write_number(Writer *writer, uint32_t number, uint64_t value) {
    write_varint(writer, (uint64_t)number << 3 | VARINT);
    write_varint(writer, value);
}

static void write_section(Writer *writer, const Section *section) {
    size_t size = field_size(section->name) + 2 + varint_size(section->lines) + varint_size(section->total);
    write_prefix(writer, 3, size);
    write_field(writer, 1, section->name);
    write_number(writer, 2, section->lines);
    write_number(writer, 3, section->total);
}

/* Labels and sections are written as they are read; what the title is made of is left in `title`, `names` and
 * `sections`. */
static bool write_parts(Writer *writer, PolyhostSlice input, Quantities *quantities, PolyhostSlice *title,
                        size_t *names, size_t *sections) {
    PolyhostSlice key, value;
    Section section;
    Reader reader = reader_of(input);
    Field field;
    while (reader.at < reader.end) {
        if (!read_field(&reader, &field, 0)) return false;
        if (field.wire_type != LEN) continue;
        switch (field.number) {
            case 1: if (!read_string(&field, title)) return false; break;
            case 2:
                if (!read_pair(field.bytes, &key, &value)) return false;
                write_label(writer, key, value);
                break;
            case 3:
                if (!read_section(field.bytes, &section, quantities)) return false;
                write_section(writer, &section);
                *names += section.name.len;
                ++*sections;
                break;
        }
    }
    return true;
}

static void write_title(Writer *writer, PolyhostSlice input, PolyhostSlice title, size_t names, size_t sections) {
    size_t separators = sections > 0 ? sections - 1 : 0;
    write_prefix(writer, 1, title.len + 2 + names + 2 * separators);
    write_bytes(writer, title.data, title.len);
    write_bytes(writer, ": ", 2);
    Section section;
    Reader reader = reader_of(input);
    Field field;
    for (size_t seen = 0; seen < sections && read_field(&reader, &field, 0);) {
        if (field.number != 3 || field.wire_type != LEN || !read_section(field.bytes, &section, NULL)) continue;
        if (seen++ > 0) write_bytes(writer, ", ", 2);
        write_bytes(writer, section.name.data, section.name.len);
    }
}

static void write_quantities(Writer *writer, const Quantities *quantities) {
    for (size_t i = 0; i < quantities->capacity; i++) {
        const Quantity *slot = &quantities->slots[i];
        if (!slot->sku.data) continue;
        write_prefix(writer, 4, field_size(slot->sku) + 1 + varint_size(slot->sum));
        write_field(writer, 1, slot->sku);
        write_number(writer, 2, slot->sum);
    }
}

static PolyhostStatus transform(const Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    (void)module;
    Quantities quantities = {NULL, 0, 0};
    Writer writer = writer_to(s_host, output);
    PolyhostSlice title = polyhost_text("");
    size_t names = 0, sections = 0;
    if (!write_parts(&writer, input, &quantities, &title, &names, &sections)) {
        free(quantities.slots);
        return not_a(call, "the input is no bench.v1.Document, or there is no memory for it");
    }
    write_title(&writer, input, title, names, sections);
    write_quantities(&writer, &quantities);
    free(quantities.slots);
    return writer.status;
}

/* ---- Callback ---- */

/* Calls the host so many times with the payload, which stands in front of a request that changes at its end. */
static PolyhostStatus call_host(const Module *module, PolyhostCall *call, PolyhostOutput *request, PolyhostOutput *reply,
                                uint64_t calls, uint64_t value, uint64_t *sum) {
    size_t fixed = request->len;
    for (uint64_t i = 0; i < calls; i++) {
        request->len = fixed;
        reply->len = 0;
        Writer writer = writer_to(s_host, request);
        write_number(&writer, 1, value);
        if (writer.status != POLYHOST_OK) return writer.status;
        PolyhostSlice bytes = {request->data, request->len};
        PolyhostStatus status = s_host->service_call(call, module->next, bytes, reply);
        if (status != POLYHOST_OK) return status;
        PolyhostSlice replied = {reply->data, reply->len};
        Reader reader = reader_of(replied);
        Field field;
        value = 0;
        while (reader.at < reader.end) {
            if (!read_field(&reader, &field, 0)) return not_a(call, "the host's reply is no bench.v1.NextReply");
            if (field.number == 1 && field.wire_type == VARINT) value = (uint32_t)field.value;
        }
        *sum += value;
    }
    return POLYHOST_OK;
}

static PolyhostStatus callback(const Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    uint64_t calls = 0, start = 0, sum = 0;
    PolyhostSlice payload = polyhost_text("");
    Reader reader = reader_of(input);
    Field field;
    while (reader.at < reader.end) {
        if (!read_field(&reader, &field, 0)) return not_a(call, "the input is no bench.v1.CallbackRequest");
        if (field.number == 1 && field.wire_type == VARINT) calls = (uint32_t)field.value;
        if (field.number == 2 && field.wire_type == VARINT) start = (uint32_t)field.value;
        if (field.number == 3 && field.wire_type == LEN) payload = field.bytes;
    }
    if (!module->has_next) {
        return polyhost_fail(s_host, call, POLYHOST_FAILED_PRECONDITION, "there is no host service bench.v1.Host/Next");
    }
    PolyhostOutput *request = s_host->output_new(SIZE_MAX), *reply = s_host->output_new(SIZE_MAX);
    PolyhostStatus status = POLYHOST_RESOURCE_EXHAUSTED;
    if (request && reply) {
        Writer writer = writer_to(s_host, request);
        write_field(&writer, 2, payload);
        status = writer.status;
    }
    if (status == POLYHOST_OK) status = call_host(module, call, request, reply, calls, start, &sum);
    if (request) s_host->output_free(request);
    if (reply) s_host->output_free(reply);
    Writer writer = {s_host, output, status};
    write_number(&writer, 1, sum);
    return writer.status;
}

static const Entry s_entries[MAX_ENTRIES] = {
    {"bench.v1.Bench/Echo", NULL, NULL, echo},
    {"bench.v1.Bench/Sum", "bench.v1.SumRequest", "bench.v1.SumReply", sum},
    {"bench.v1.Bench/Transform", "bench.v1.Document", "bench.v1.Summary", transform},
    {"bench.v1.Bench/Callback", "bench.v1.CallbackRequest", "bench.v1.CallbackReply", callback},
    {"bench.v1.Stages/Repeat", NULL, NULL, repeat},
    {"bench.v1.About/Facts", NULL, NULL, facts},
    {NULL, NULL, NULL, NULL},
};
