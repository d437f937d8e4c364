/* Markdown by cmark, the reference implementation of CommonMark in C.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <cmark.h>
#include <stdio.h>

#include "guest.h"

static PolyhostStatus render(const Module *module, PolyhostCall *call, PolyhostSlice input, PolyhostOutput *output) {
    (void)module;
    PolyhostSlice markdown = polyhost_text("");
    Reader reader = reader_of(input);
    Field field;
    while (reader.at < reader.end) {
        bool good = read_field(&reader, &field, 0);
        if (good && field.number == 1) good = read_string(&field, &markdown);
        if (!good) return not_a(call, "the input is no bench.v1.RenderRequest");
    }
    char *html = cmark_markdown_to_html((const char *)markdown.data, markdown.len, CMARK_OPT_DEFAULT);
    if (!html) return polyhost_fail(s_host, call, POLYHOST_RESOURCE_EXHAUSTED, "no memory for the page");
    Writer writer = writer_to(s_host, output);
    write_field(&writer, 1, polyhost_text(html));
    free(html);
    return writer.status;
}

static PolyhostStatus facts_of_library(const Module *module, PolyhostCall *call, PolyhostSlice input,
                                       PolyhostOutput *output) {
    PolyhostStatus status = facts(module, call, input, output);
    char text[64];
    int len = snprintf(text, sizeof text, "markdown: cmark %s\n", cmark_version_string());
    return status == POLYHOST_OK ? polyhost_write(s_host, output, text, (size_t)len) : status;
}

static const Entry s_entries[MAX_ENTRIES] = {
    {"bench.v1.Bench/Render", "bench.v1.RenderRequest", "bench.v1.RenderReply", render},
    {"bench.v1.Stages/Repeat", NULL, NULL, repeat},
    {"bench.v1.About/Facts", NULL, NULL, facts_of_library},
    {NULL, NULL, NULL, NULL},
};
