#include "base/alloc.h"
#include "etcdctl/ctl.h"

/* ---- --stream: an answer in parts, put together ---- */

struct parts {
    struct arena arena;
    Etcdserverpb__RangeResponse whole;
    Mvccpb__KeyValue **kvs;
    size_t room;
    struct ketch_client *client;
    struct ketch_error error;
};

static Mvccpb__KeyValue *copy_kv(struct arena *a, const Mvccpb__KeyValue *kv)
{
    Mvccpb__KeyValue *copy = arena_dup(a, kv, sizeof(*kv));

    if (copy != NULL) {
        copy->key.data = kv->key.len == 0 ? NULL : arena_dup(a, kv->key.data, kv->key.len);
        copy->value.data = kv->value.len == 0 ? NULL : arena_dup(a, kv->value.data, kv->value.len);
    }
    return copy;
}

static void add_kv(struct parts *p, const Mvccpb__KeyValue *kv)
{
    if (p->whole.n_kvs == p->room) {
        p->room = MAX(p->room * 2, 256);
        p->kvs = xmem_realloc(p->kvs, p->room * sizeof(*p->kvs));
    }
    p->kvs[p->whole.n_kvs] = copy_kv(&p->arena, kv);
    if (p->kvs[p->whole.n_kvs] != NULL)
        p->whole.n_kvs++;
}

static bool on_part(const ProtobufCMessage *message, void *user)
{
    const Etcdserverpb__RangeStreamResponse *m = (const void *) message;
    const Etcdserverpb__RangeResponse *r = m->range_response;
    struct parts *p = user;

    if (r == NULL)
        return true;
    for (size_t i = 0; i < r->n_kvs; i++)
        add_kv(p, r->kvs[i]);
    if (r->header != NULL)
        p->whole.header = arena_dup(&p->arena, r->header, sizeof(*r->header));
    p->whole.more = p->whole.more || r->more;
    p->whole.count = MAX(p->whole.count, r->count);
    return true;
}

static void on_last_part(const struct ketch_error *e, void *user)
{
    struct parts *p = user;

    p->error = *e;
    ketch_stop(p->client);
}

static int print_range(struct ctl *ctl, const Etcdserverpb__RangeResponse *resp);

static int get_stream(struct ctl *ctl, const Etcdserverpb__RangeRequest *req, int64_t timeout_ms)
{
    static const struct ketch_stream_callbacks cb = {.on_message = on_part, .on_end = on_last_part};
    struct parts p = {.whole = ETCDSERVERPB__RANGE_RESPONSE__INIT, .client = ctl->client};
    int status;

    arena_init(&p.arena, CTL_OUT_BYTES_MAX);
    if (ketch_stream(ctl->client, KETCH_RANGE_STREAM, &req->base, timeout_ms, &cb, &p) == NULL)
        return cli_fail(CTL_ERROR, "out of memory");
    ketch_run(ctl->client);
    p.whole.kvs = p.kvs;
    ctl->error = p.error;
    status = p.error.code == KETCH_OK ? print_range(ctl, &p.whole) : ctl_fail(ctl, CTL_ERROR);
    mem_free(p.kvs);
    arena_done(&p.arena);
    return status;
}

/* ---- the usual way ---- */

/* Two flags suit one format each; etcdctl finds out when the answer is there. */
static int print_range(struct ctl *ctl, const Etcdserverpb__RangeResponse *resp)
{
    if (cli_bool(ctl->call, "count-only") && ctl->how.printer != &printer_fields)
        return cli_fail(CTL_BAD_ARGS, "--count-only is only for `--write-out=fields`");
    if (cli_bool(ctl->call, "print-value-only") && ctl->how.printer != &printer_simple)
        return cli_fail(CTL_BAD_ARGS, "print-value-only is only for `--write-out=simple`");
    ctl->how.value_only = cli_bool(ctl->call, "print-value-only");
    return CTL_PRINT(ctl, get, resp);
}

static int get_send(struct ctl *ctl, const Etcdserverpb__RangeRequest *req, int64_t timeout_ms)
{
    const Etcdserverpb__RangeResponse *resp;
    struct ketch_reply *reply;
    int status;

    if (cli_bool(ctl->call, "stream"))
        return get_stream(ctl, req, timeout_ms);
    if (ketch_range(ctl->client, req, timeout_ms, &reply, &resp, &ctl->error) != KETCH_OK)
        return ctl_fail(ctl, CTL_ERROR);
    status = print_range(ctl, resp);
    ketch_reply_free(reply);
    return status;
}

static int get_run(struct cli_call *call)
{
    Etcdserverpb__RangeRequest req;
    struct arena a;
    struct ctl ctl;
    struct err e = ERR_INIT;
    int64_t timeout_ms = ctl_timeout_ms(call);
    int status;

    arena_init(&a, CTL_REQUEST_BYTES_MAX);
    status = kv_get_request(call, &a, &req, &e);
    if (status != CTL_OK) {
        status = cli_fail(status, "%s", e.msg);
    } else {
        status = ctl_open(&ctl, call);
        if (status == CTL_OK)
            status = get_send(&ctl, &req, timeout_ms);
        status = ctl_close(&ctl, status);
    }
    arena_done(&a);
    return status;
}

const struct cli_command get_command = {
    .use = KV_GET_USE,
    .brief = "Gets the key or a range of keys",
    .about = "Gets a key, the keys of [key, range_end), all keys with a prefix, or all keys from\n"
             "one on; now or as they were at a revision.",
    .group = GROUP_KV,
    CLI_FLAGS(kv_get_flags),
    .run = get_run,
};
