#include "cli/txn_lines.h"

#include "base/alloc.h"
#include "cli/text.h"
#include "wire/wire.h"

#define SHOWN(b) (int) (b).n, (const char *) (b).p

/* ---- comparisons ---- */

struct compare_line {
    struct bytes whole;
    struct bytes target;
    struct buf key;
    struct bytes op;
    struct buf value;
    int found; /* of key, op, value */
};

static struct bytes skip_blanks(struct bytes s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = bytes_of(s.p + 1, s.n - 1);
    return s;
}

static struct bytes cut_front(struct bytes s, size_t n)
{
    return bytes_of(s.p + n, s.n - n);
}

/* "KEY") OP "VALUE": how far it can be read is in c->found. */
static void scan_compare(struct compare_line *c, struct bytes s)
{
    size_t n;

    if (text_unquote(skip_blanks(s), &c->key, &n, NULL) != 0)
        return;
    c->found = 1;
    s = cut_front(skip_blanks(s), n);
    if (s.n < 2 || s.p[0] != ')' || (s.p[1] != ' ' && s.p[1] != '\t'))
        return;
    s = skip_blanks(cut_front(s, 1));
    for (n = 0; n < s.n && s.p[n] != ' ' && s.p[n] != '\t'; n++)
        ;
    if (n == 0)
        return;
    c->op = bytes_of(s.p, n);
    c->found = 2;
    s = cut_front(s, n);
    if (skip_blanks(s).n == s.n)
        return;
    if (text_unquote(skip_blanks(s), &c->value, &n, NULL) == 0)
        c->found = 3;
}

static int malformed(const struct compare_line *c, struct err *e)
{
    struct buf b;

    buf_init(&b, ERR_MSG_BYTES * 8);
    buf_printf(&b, "malformed comparison: %.*s; got %.*s(", SHOWN(c->whole), SHOWN(c->target));
    text_quote(&b, c->found >= 1 ? buf_bytes(&c->key) : BYTES_EMPTY);
    buf_printf(&b, ") %.*s ", SHOWN(c->op));
    text_quote(&b, c->found >= 3 ? buf_bytes(&c->value) : BYTES_EMPTY);
    kv_wrong(e, CTL_INVALID_INPUT, "%s", buf_cstr(&b));
    buf_done(&b);
    return CTL_INVALID_INPUT;
}

static int compare_op(const struct compare_line *c, Etcdserverpb__Compare *r, struct err *e)
{
    static const struct {
        const char *op;
        Etcdserverpb__Compare__CompareResult result;
    } ops[] = {
        {"=", ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL},
        {"!=", ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL},
        {">", ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER},
        {"<", ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS},
    };

    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (bytes_eq(c->op, bytes_str(ops[i].op))) {
            r->result = ops[i].result;
            return 0;
        }
    }
    return kv_wrong(e, CTL_INVALID_INPUT, "malformed comparison: %.*s (unknown result op %.*s)",
                    SHOWN(c->whole), SHOWN(c->op));
}

static int compare_target(struct compare_line *c, struct arena *a, Etcdserverpb__Compare *r,
                          struct err *e)
{
    static const struct {
        const char *name;
        Etcdserverpb__Compare__CompareTarget target;
        Etcdserverpb__Compare__TargetUnionCase value;
        int base;
    } targets[] = {
        {"ver", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
         ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION, 10},
        {"version", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
         ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION, 10},
        {"c", ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE,
         ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION, 10},
        {"create", ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE,
         ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION, 10},
        {"m", ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD,
         ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION, 10},
        {"mod", ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD,
         ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION, 10},
        {"val", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE,
         ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE, 0},
        {"value", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE,
         ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE, 0},
        {"lease", ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE,
         ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE, 16},
    };
    size_t i = 0;

    while (i < ARRAY_LEN(targets) && !bytes_eq(c->target, bytes_str(targets[i].name)))
        i++;
    if (i == ARRAY_LEN(targets))
        return kv_wrong(e, CTL_INVALID_INPUT, "malformed comparison: %.*s (unknown target %.*s)",
                        SHOWN(c->whole), SHOWN(c->target));
    r->target = targets[i].target;
    r->target_union_case = targets[i].value;
    if (targets[i].base == 0) {
        r->value = wire_binary(bytes_of(
            c->value.len == 0 ? NULL : arena_dup(a, c->value.p, c->value.len), c->value.len));
    } else if (text_parse_int(buf_cstr(&c->value), targets[i].base, &r->version, NULL) != 0) {
        /* The members of the union that are numbers share one place. */
        return kv_wrong(e, CTL_INVALID_INPUT, "invalid txn compare request: %.*s", SHOWN(c->whole));
    }
    return 0;
}

int txn_compare(struct bytes line, struct arena *a, Etcdserverpb__Compare *ret, struct err *e)
{
    struct compare_line c = {.whole = line};
    Etcdserverpb__Compare r = ETCDSERVERPB__COMPARE__INIT;
    const uint8_t *paren = line.n == 0 ? NULL : memchr(line.p, '(', line.n);
    int rc;

    if (paren == NULL)
        return kv_wrong(e, CTL_INVALID_INPUT, "malformed comparison: %.*s", SHOWN(line));
    buf_init(&c.key, WORDS_BYTES_MAX);
    buf_init(&c.value, WORDS_BYTES_MAX);
    c.target = bytes_of(line.p, (size_t) (paren - line.p));
    scan_compare(&c, cut_front(line, c.target.n + 1));
    rc = c.found == 3 ? 0 : malformed(&c, e);
    if (rc == 0)
        rc = compare_target(&c, a, &r, e);
    if (rc == 0)
        rc = compare_op(&c, &r, e);
    if (rc == 0 && c.key.len > 0)
        r.key = wire_binary(bytes_of(arena_dup(a, c.key.p, c.key.len), c.key.len));
    buf_done(&c.key);
    buf_done(&c.value);
    *ret = r;
    return rc;
}

/* ---- requests ---- */

/* Never called: cli_parse only finds the command and its flags. */
static int no_run(struct cli_call *c)
{
    (void) c;
    return CTL_OK;
}

static const struct cli_command line_put = {
    .use = KV_PUT_USE, .brief = "", CLI_FLAGS(kv_put_flags), .run = no_run};
static const struct cli_command line_get = {
    .use = KV_GET_USE, .brief = "", CLI_FLAGS(kv_get_flags), .run = no_run};
static const struct cli_command line_del = {
    .use = KV_DEL_USE, .brief = "", CLI_FLAGS(kv_del_flags), .run = no_run};
static const struct cli_command *const line_commands[] = {&line_del, &line_get, &line_put};
static const struct cli_command line_root = {.use = "", CLI_SUBS(line_commands)};
static const struct cli_program line_program = {
    .root = &line_root, .error_style = CLI_ERROR_USAGE_ONLY, .prefix_match = true};

static int put_op(const struct cli_call *c, struct kv_input *in, struct arena *a,
                  Etcdserverpb__RequestOp *ret, struct err *e)
{
    Etcdserverpb__PutRequest *r = arena_alloc(a, sizeof(*r));

    if (r == NULL)
        return kv_wrong(e, CTL_ERROR, "out of memory");
    ret->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    ret->request_put = r;
    return kv_put_request(c, in, a, r, e);
}

static int get_op(const struct cli_call *c, struct arena *a, Etcdserverpb__RequestOp *ret,
                  struct err *e)
{
    Etcdserverpb__RangeRequest *r = arena_alloc(a, sizeof(*r));

    if (r == NULL)
        return kv_wrong(e, CTL_ERROR, "out of memory");
    ret->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    ret->request_range = r;
    return kv_get_request(c, a, r, e);
}

static int del_op(const struct cli_call *c, struct arena *a, Etcdserverpb__RequestOp *ret,
                  struct err *e)
{
    Etcdserverpb__DeleteRangeRequest *r = arena_alloc(a, sizeof(*r));
    bool warn = false;
    int rc;

    if (r == NULL)
        return kv_wrong(e, CTL_ERROR, "out of memory");
    ret->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    ret->request_delete_range = r;
    rc = kv_del_request(c, a, r, &warn, e);
    if (rc == 0 && warn)
        kv_del_wait(c);
    return rc;
}

static int op_of(const struct cli_call *c, struct kv_input *in, struct arena *a,
                 Etcdserverpb__RequestOp *ret, struct err *e)
{
    if (cli_command(c) == &line_put)
        return put_op(c, in, a, ret, e);
    if (cli_command(c) == &line_get)
        return get_op(c, a, ret, e);
    ASSERT(cli_command(c) == &line_del);
    return del_op(c, a, ret, e);
}

/* The words that requests point to must outlive this call: they are copied into the arena. */
static int split_into(struct arena *a, struct bytes line, struct words *ret, struct err *e)
{
    struct words w;
    int rc = words_split(&w, line, e);

    *ret = (struct words){.count = w.count};
    if (rc == 0) {
        ret->text = arena_calloc(a, w.count + 1, sizeof(*ret->text));
        ret->len = arena_calloc(a, w.count + 1, sizeof(*ret->len));
        for (size_t i = 0; i < w.count && ret->text != NULL && ret->len != NULL; i++) {
            ret->len[i] = w.len[i];
            ret->text[i] = arena_dup(a, w.text[i], w.len[i] + 1);
        }
    }
    words_done(&w);
    return rc;
}

int txn_request(struct bytes line, struct kv_input *in, struct arena *a, struct buf *usage,
                Etcdserverpb__RequestOp *ret, struct err *e)
{
    struct cli_call *c;
    struct words w;
    struct buf out;
    int status;
    int rc;

    if (split_into(a, line, &w, e) != 0)
        return CTL_INVALID_INPUT;
    if (w.count < 2)
        return kv_wrong(e, CTL_INVALID_INPUT, "invalid txn compare request: %.*s", SHOWN(line));
    c = xmem_calloc(1, sizeof(*c));
    buf_init(&out, CLI_PAGE_BYTES_MAX);
    *ret = (Etcdserverpb__RequestOp) ETCDSERVERPB__REQUEST_OP__INIT;
    if (cli_parse(&line_program, w.count, w.text, c, &out, usage, &status) == CLI_RUN) {
        c->words = &w;
        rc = op_of(c, in, a, ret, e);
    } else {
        rc = kv_wrong(e, CTL_INVALID_INPUT, "invalid txn request: %.*s", SHOWN(line));
    }
    buf_done(&out);
    cli_call_done(c);
    mem_free(c);
    return rc;
}
