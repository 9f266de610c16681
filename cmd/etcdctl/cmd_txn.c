/* cmd_txn.c -- three blocks of lines from standard input, made into one transaction. */
#include "base/alloc.h"
#include "base/blank.h"
#include "cli/txn_lines.h"
#include "etcdctl/ctl.h"

#define TXN_LINES_MAX 100000

/* What has been read so far. */
struct txn_lines {
    struct ctl_input in;
    struct arena arena;
    Etcdserverpb__TxnRequest request;
    bool interactive;
};

static void prompt(const struct txn_lines *t, const char *what)
{
    if (!t->interactive)
        return;
    puts(what);
    fflush(stdout);
}

/* Gives each line of a block to `take`, which returns an exit status; a blank line ends the block.
 */
static int read_block(struct txn_lines *t,
                      int (*take)(struct txn_lines *t, struct bytes line, void *arg), void *arg)
{
    struct buf line;
    int status = CTL_OK;

    buf_init(&line, TXN_ARENA_BYTES_MAX);
    while (status == CTL_OK) {
        struct bytes s;

        if (!ctl_read_line(&t->in, &line)) {
            status = cli_fail(CTL_INVALID_INPUT, "EOF");
            break;
        }
        s = bytes_trimmed(buf_bytes(&line));
        if (s.n == 0)
            break;
        status = take(t, s, arg);
    }
    buf_done(&line);
    return status;
}

static int take_compare(struct txn_lines *t, struct bytes line, void *arg)
{
    Etcdserverpb__Compare *c = arena_alloc(&t->arena, sizeof(*c));
    struct err e = ERR_INIT;
    int status;

    (void) arg;
    if (c == NULL || t->request.n_compare == TXN_LINES_MAX)
        return cli_fail(CTL_ERROR, "too many comparisons");
    status = txn_compare(line, &t->arena, c, &e);
    if (status != CTL_OK)
        return cli_fail(status, "%s", e.msg);
    t->request.compare[t->request.n_compare++] = c;
    return CTL_OK;
}

struct ops {
    Etcdserverpb__RequestOp **list;
    size_t n;
};

static int take_request(struct txn_lines *t, struct bytes line, void *arg)
{
    struct ops *ops = arg;
    Etcdserverpb__RequestOp *op = arena_alloc(&t->arena, sizeof(*op));
    struct err e = ERR_INIT;
    struct buf usage;
    int status;

    if (op == NULL || ops->n == TXN_LINES_MAX)
        return cli_fail(CTL_ERROR, "too many requests");
    buf_init(&usage, CLI_PAGE_BYTES_MAX);
    status = txn_request(line, &t->in.kv, &t->arena, &usage, op, &e);
    cli_write(stderr, &usage);
    buf_done(&usage);
    if (status != CTL_OK)
        return cli_fail(status, "%s", e.msg);
    ops->list[ops->n++] = op;
    return CTL_OK;
}

static int read_requests(struct txn_lines *t, const char *what, Etcdserverpb__RequestOp ***ret,
                         size_t *ret_n)
{
    struct ops ops = {.list = xmem_calloc(TXN_LINES_MAX, sizeof(*ops.list))};
    int status;

    prompt(t, what);
    status = read_block(t, take_request, &ops);
    *ret = ops.list;
    *ret_n = ops.n;
    return status;
}

static int read_txn(struct txn_lines *t)
{
    Etcdserverpb__TxnRequest *r = &t->request;
    int status;

    r->compare = xmem_calloc(TXN_LINES_MAX, sizeof(*r->compare));
    prompt(t, "compares:");
    status = read_block(t, take_compare, NULL);
    if (status == CTL_OK)
        status = read_requests(t, "success requests (get, put, del):", &r->success, &r->n_success);
    if (status == CTL_OK)
        status = read_requests(t, "failure requests (get, put, del):", &r->failure, &r->n_failure);
    return status;
}

static int txn_send(struct ctl *ctl, const Etcdserverpb__TxnRequest *r)
{
    const Etcdserverpb__TxnResponse *resp;
    struct ketch_reply *reply;
    int status;

    if (ketch_txn(ctl->client, r, 0, &reply, &resp, &ctl->error) != KETCH_OK)
        return ctl_fail(ctl, CTL_ERROR);
    status = CTL_PRINT(ctl, txn, resp);
    ketch_reply_free(reply);
    return status;
}

static int txn_run(struct cli_call *call)
{
    struct txn_lines t = {.request = ETCDSERVERPB__TXN_REQUEST__INIT,
                          .interactive = cli_bool(call, "interactive")};
    struct ctl ctl;
    int status;

    if (call->arg_count != 0)
        return cli_fail(CTL_BAD_ARGS, "txn command does not accept argument");
    arena_init(&t.arena, TXN_ARENA_BYTES_MAX);
    ctl_input_init(&t.in);
    status = ctl_open(&ctl, call);
    if (status == CTL_OK)
        status = read_txn(&t);
    if (status == CTL_OK)
        status = txn_send(&ctl, &t.request);
    mem_free(t.request.compare);
    mem_free(t.request.success);
    mem_free(t.request.failure);
    ctl_input_done(&t.in);
    arena_done(&t.arena);
    return ctl_close(&ctl, status);
}

static const struct cli_flag txn_flags[] = {
    {.name = "interactive",
     .shorthand = 'i',
     .type = CLI_BOOL,
     .help = "print a prompt before each of the three blocks"},
};

const struct cli_command txn_command = {
    .use = "txn [options]",
    .brief = "Txn processes all the requests in one transaction",
    .about = "Reads comparisons, then the requests for the case that all of them hold, then those\n"
             "for the other case; an empty line ends each block.\n"
             "\n"
             "  TARGET(\"KEY\") OP \"VALUE\"   TARGET: ver, create, mod, val, lease; OP: = != < >\n"
             "  put KEY VALUE | get KEY | del KEY   with the flags of these commands",
    .group = GROUP_KV,
    CLI_FLAGS(txn_flags),
    .run = txn_run,
};
