/* txn_lines_fuzz.c -- the lines that etcdctl's txn reads.
 *
 * Any line is refused with words, or understood; what was understood, written out plainly, is
 * understood as the same.  Words that are quoted and joined split into themselves. */
#include "cli/text.h"
#include "cli/txn_lines.h"
#include "cli/words.h"
#include "wire/wire.h"

#define INPUT_BYTES_MAX 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_words(const struct words *w)
{
    struct words again;
    struct buf line;

    buf_init(&line, 1 << 20);
    for (size_t i = 0; i < w->count; i++) {
        text_quote(&line, bytes_of(w->text[i], w->len[i]));
        buf_add_char(&line, ' ');
    }
    ASSERT(words_split(&again, buf_bytes(&line), NULL) == 0);
    ASSERT(again.count == w->count);
    for (size_t i = 0; i < w->count; i++) {
        ASSERT(again.text[i][again.len[i]] == 0);
        ASSERT(bytes_eq(bytes_of(again.text[i], again.len[i]), bytes_of(w->text[i], w->len[i])));
    }
    words_done(&again);
    buf_done(&line);
}

/* ---- comparisons ---- */

static void write_compare(struct buf *out, const Etcdserverpb__Compare *c)
{
    static const char *const targets[] = {"version", "create", "mod", "value", "lease"};
    static const char *const ops[] = {"=", ">", "<", "!="};
    struct buf value;

    ASSERT((size_t) c->target < ARRAY_LEN(targets));
    ASSERT((size_t) c->result < ARRAY_LEN(ops));
    buf_init(&value, 1 << 20);
    if (c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE)
        buf_add_bytes(&value, wire_bytes(c->value));
    else if (c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE)
        buf_printf(&value, "%s%" PRIx64, c->lease < 0 ? "-" : "",
                   c->lease < 0 ? 0 - (uint64_t) c->lease : (uint64_t) c->lease);
    else
        buf_printf(&value, "%" PRId64, c->version);
    buf_printf(out, "%s(", targets[c->target]);
    text_quote(out, wire_bytes(c->key));
    buf_printf(out, ") %s ", ops[c->result]);
    text_quote(out, buf_bytes(&value));
    buf_done(&value);
}

static void compares(struct bytes line, struct arena *a)
{
    Etcdserverpb__Compare c, again;
    struct err e = ERR_INIT;
    struct buf plain;

    if (txn_compare(line, a, &c, &e) != 0) {
        ASSERT(e.msg[0] != 0);
        return;
    }
    buf_init(&plain, 1 << 20);
    write_compare(&plain, &c);
    ASSERT(txn_compare(buf_bytes(&plain), a, &again, NULL) == 0);
    ASSERT(bytes_eq(wire_bytes(again.key), wire_bytes(c.key)));
    ASSERT(again.target == c.target);
    ASSERT(again.result == c.result);
    ASSERT(again.target_union_case == c.target_union_case);
    if (c.target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE)
        ASSERT(bytes_eq(wire_bytes(again.value), wire_bytes(c.value)));
    else
        ASSERT(again.version == c.version);
    buf_done(&plain);
}

/* ---- requests ---- */

static bool no_input(struct kv_input *in, struct buf *out)
{
    (void) in;
    return buf_add_str(out, "from standard input");
}

/* A deletion of a range without --range makes etcdctl wait two seconds: not here. */
static bool may_wait(const struct words *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->count > 2 && w->len[i] > 0 && strncmp("del", w->text[i], w->len[i]) == 0)
            return true;
    return false;
}

static void write_put(struct buf *out, const Etcdserverpb__PutRequest *p)
{
    buf_printf(out, "put --lease=%" PRIx64 "%s%s%s -- ",
               p->lease < 0 ? (uint64_t) 0 : (uint64_t) p->lease, p->prev_kv ? " --prev-kv" : "",
               p->ignore_value ? " --ignore-value" : "", p->ignore_lease ? " --ignore-lease" : "");
    text_quote(out, wire_bytes(p->key));
    if (p->ignore_value)
        return;
    buf_add_char(out, ' ');
    text_quote(out, wire_bytes(p->value));
}

static void same_put(const Etcdserverpb__PutRequest *p, struct arena *a, struct kv_input *in)
{
    Etcdserverpb__RequestOp again;
    struct buf plain, usage;

    buf_init(&plain, 1 << 20);
    buf_init(&usage, 1 << 20);
    write_put(&plain, p);
    if (p->lease >= 0) {
        ASSERT(txn_request(buf_bytes(&plain), in, a, &usage, &again, NULL) == 0);
        ASSERT(again.request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT);
        ASSERT(bytes_eq(wire_bytes(again.request_put->key), wire_bytes(p->key)));
        ASSERT(bytes_eq(wire_bytes(again.request_put->value), wire_bytes(p->value)));
        ASSERT(again.request_put->lease == p->lease);
        ASSERT(again.request_put->ignore_lease == p->ignore_lease);
    }
    buf_done(&plain);
    buf_done(&usage);
}

static void requests(struct bytes line, struct arena *a)
{
    struct kv_input in = {no_input};
    Etcdserverpb__RequestOp op;
    struct err e = ERR_INIT;
    struct buf usage;
    int rc;

    buf_init(&usage, 1 << 20);
    rc = txn_request(line, &in, a, &usage, &op, &e);
    if (rc != 0)
        ASSERT(e.msg[0] != 0);
    else if (op.request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT)
        same_put(op.request_put, a, &in);
    else if (op.request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE)
        ASSERT(wire_size(&op.request_range->base) <= 4 * line.n + 256);
    else
        ASSERT(op.request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE);
    buf_done(&usage);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes line = bytes_of(data, size);
    struct words w;
    struct arena a;

    if (size > INPUT_BYTES_MAX)
        return 0;
    arena_init(&a, TXN_ARENA_BYTES_MAX);
    compares(line, &a);
    if (words_split(&w, line, NULL) == 0) {
        same_words(&w);
        if (!may_wait(&w))
            requests(line, &a);
    }
    words_done(&w);
    arena_done(&a);
    return 0;
}
