/* How a line looks: the reference's "Logging" sheet, section 1. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "obs/gofmt.h"
#include "obs/log_int.h"

#define TAIL_BYTES 512 /* kept free for what must end a line: the stack and the brackets */

/* Appends never pass `end`; what does not fit sets `full`, and the caller takes the field back. */
struct out {
    char *p;
    char *end;
    bool full;
};

static void put(struct out *o, const char *s, size_t n)
{
    if (o->full || n > (size_t) (o->end - o->p)) {
        o->full = true;
        return;
    }
    memcpy(o->p, s, n);
    o->p += n;
}

static void put_str(struct out *o, const char *s)
{
    put(o, s, strlen(s));
}

/* The length of the UTF-8 sequence at p (of n bytes), or 0 when it is not valid. */
static size_t utf8_length(const uint8_t *p, size_t n)
{
    size_t more = p[0] < 0x80 ? 0 : p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : 3;
    uint8_t low = 0x80, high = 0xbf; /* of the second byte: shuts out surrogates and long forms */

    if (more == 0)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || more >= n)
        return 0;
    low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : low;
    high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : high;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return more + 1;
}

static void put_control(struct out *o, uint8_t c)
{
    char u[8];

    switch (c) {
    case '\n':
        put_str(o, "\\n");
        break;
    case '\r':
        put_str(o, "\\r");
        break;
    case '\t':
        put_str(o, "\\t");
        break;
    default:
        snprintf(u, sizeof u, "\\u%04x", c);
        put_str(o, u);
    }
}

static void put_escaped(struct out *o, struct bytes s)
{
    size_t i = 0;

    s.n = MIN(s.n, (size_t) LOG_VALUE_BYTES_MAX);
    while (i < s.n) {
        size_t n = utf8_length(s.p + i, s.n - i);

        if (n == 0) {
            put_str(o, "\\ufffd");
            n = 1;
        } else if (s.p[i] < 0x20) {
            put_control(o, s.p[i]);
        } else {
            if (s.p[i] == '"' || s.p[i] == '\\')
                put(o, "\\", 1);
            put(o, (const char *) s.p + i, n);
        }
        i += n;
    }
}

static void put_quoted(struct out *o, struct bytes s)
{
    put(o, "\"", 1);
    put_escaped(o, s);
    put(o, "\"", 1);
}

static void put_cstr(struct out *o, const char *s)
{
    put_quoted(o, bytes_str(s == NULL ? "" : s));
}

static void put_time(struct out *o, wall_ms ms)
{
    time_t s = (time_t) (ms / 1000);
    struct tm t;
    char text[48];
    size_t n;

    if (localtime_r(&s, &t) == NULL)
        memset(&t, 0, sizeof t);
    n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &t);
    put(o, text, n);
    snprintf(text, sizeof text, ".%03u000", (unsigned) (ms % 1000));
    put_str(o, text);
    n = strftime(text, sizeof text, "%z", &t);
    if (strncmp(text, "+0000", n) == 0)
        put_str(o, "Z");
    else
        put(o, text, n);
}

/* The last two parts of a path: "server/kv.c". */
static const char *short_path(const char *path)
{
    const char *p = path + strlen(path);
    int slashes = 0;

    while (p > path) {
        if (p[-1] == '/' && ++slashes == 2)
            break;
        p--;
    }
    return p;
}

static void put_site(struct out *o, struct log_site at)
{
    char line[16];

    put_escaped(o, bytes_str(short_path(at.file)));
    snprintf(line, sizeof line, ":%d", at.line);
    put_str(o, line);
}

/* Element i of a list, of either kind. */
static struct bytes text_of(const struct log_field *f, size_t i)
{
    if (f->kind == LOG_FIELD_TEXTS)
        return f->texts.v[i];
    return bytes_str(f->strs.v[i] == NULL ? "" : f->strs.v[i]);
}

static void put_list(struct out *o, const struct log_field *f, size_t n)
{
    put(o, "[", 1);
    for (size_t i = 0; i < n; i++) {
        if (i != 0)
            put(o, ",", 1);
        put_quoted(o, text_of(f, i));
    }
    put(o, "]", 1);
}

static void put_number(struct out *o, const struct log_field *f)
{
    char text[24];

    switch (f->kind) {
    case LOG_FIELD_I64:
        snprintf(text, sizeof text, "%" PRId64, f->i64);
        break;
    case LOG_FIELD_HEX:
        snprintf(text, sizeof text, "\"%" PRIx64 "\"", f->u64);
        break;
    default:
        snprintf(text, sizeof text, "%" PRIu64, f->u64);
    }
    put_str(o, text);
}

static void put_value(struct out *o, const struct log_field *f)
{
    char duration[GO_DURATION_BYTES];

    switch (f->kind) {
    case LOG_FIELD_SKIP:
        break;
    case LOG_FIELD_STR:
        put_cstr(o, f->str);
        break;
    case LOG_FIELD_BYTES:
        put_quoted(o, f->bytes);
        break;
    case LOG_FIELD_I64:
    case LOG_FIELD_U64:
    case LOG_FIELD_HEX:
        put_number(o, f);
        break;
    case LOG_FIELD_BOOL:
        put_str(o, f->b ? "true" : "false");
        break;
    case LOG_FIELD_NS:
        put_cstr(o, go_duration(f->i64, duration));
        break;
    case LOG_FIELD_WALL_MS:
        put(o, "\"", 1);
        put_time(o, f->i64);
        put(o, "\"", 1);
        break;
    case LOG_FIELD_STRS:
        put_list(o, f, f->strs.n);
        break;
    case LOG_FIELD_TEXTS:
        put_list(o, f, f->texts.n);
        break;
    case LOG_FIELD_JSON:
        put_str(o, f->str);
        break;
    }
}

/* The fields as members of an object, each followed by a comma's place for the next. */
static void put_fields(struct out *o, const struct log_field *f, bool first)
{
    for (; f->key != NULL; f++) {
        char *before = o->p;

        if (f->kind == LOG_FIELD_SKIP)
            continue;
        if (!first)
            put(o, ",", 1);
        put_cstr(o, f->key);
        put(o, ":", 1);
        put_value(o, f);
        if (o->full) {
            o->p = before;
            o->full = false;
            continue;
        }
        first = false;
    }
}

static void put_member(struct out *o, const char *key, const char *value)
{
    put(o, ",", 1);
    put_cstr(o, key);
    put(o, ":", 1);
    put_cstr(o, value);
}

static void put_stack(struct out *o, struct log_site at, const char *newline)
{
    char line[16];

    put_escaped(o, bytes_str(at.func));
    put_str(o, newline);
    put_escaped(o, bytes_str(at.file));
    snprintf(line, sizeof line, ":%d", at.line);
    put_str(o, line);
}

static void compose_json(const struct log__line *l, struct out *o)
{
    put_str(o, "{\"level\":");
    put_cstr(o, log_level_name(l->level));
    put_str(o, ",\"ts\":\"");
    put_time(o, l->now);
    put(o, "\"", 1);
    if (l->name != NULL)
        put_member(o, "logger", l->name);
    put_str(o, ",\"caller\":\"");
    put_site(o, l->at);
    put(o, "\"", 1);
    put_member(o, "msg", l->msg);
    put_fields(o, l->fields, false);
    o->end += TAIL_BYTES;
    if (l->level >= LOG_LEVEL_ERROR && !l->no_stack) {
        char *before = o->p;

        put_str(o, ",\"stacktrace\":\"");
        put_stack(o, l->at, "\\n\\t");
        put(o, "\"", 1);
        o->p = o->full ? before : o->p;
        o->full = false;
    }
    put_str(o, "}\n");
}

static void compose_console(const struct log__line *l, struct out *o)
{
    put_time(o, l->now);
    put(o, "\t", 1);
    put_str(o, log_level_name(l->level));
    if (l->name != NULL) {
        put(o, "\t", 1);
        put_str(o, l->name);
    }
    put(o, "\t", 1);
    put_site(o, l->at);
    put(o, "\t", 1);
    put_str(o, l->msg);
    if (l->fields->key != NULL) {
        put_str(o, "\t{");
        put_fields(o, l->fields, true);
        o->end += 2;
        put(o, "}", 1);
    }
    o->end += TAIL_BYTES - 2;
    if (l->level >= LOG_LEVEL_ERROR && !l->no_stack) {
        put(o, "\n", 1);
        put_stack(o, l->at, "\n\t");
    }
    o->full = false;
    put(o, "\n", 1);
}

size_t log__compose(enum log_format format, const struct log__line *line, char *out, size_t cap)
{
    struct out o = {out, out + cap - TAIL_BYTES, false};

    ASSERT(cap > 2 * TAIL_BYTES);
    if (format == LOG_FORMAT_JSON)
        compose_json(line, &o);
    else
        compose_console(line, &o);
    ASSERT(!o.full);
    return (size_t) (o.p - out);
}
