/* mirror_base.c -- the keys of the source, page by page at one revision, put into the destination.
 */
#include "base/alloc.h"
#include "etcdctl/mirror.h"
#include "wire/wire.h"

struct base {
    struct mirror *m;
    size_t under_way;
    struct buf next;          /* the key with which the next page begins */
    struct ketch_error error; /* of the first put that failed for good */
};

struct pending_put {
    struct base *base;
    struct arena arena;
    Etcdserverpb__PutRequest req;
};

struct bytes mirror_key(const struct mirror *m, struct arena *a, struct bytes key)
{
    size_t rest = key.n - m->prefix.n;
    uint8_t *p;

    ASSERT(key.n >= m->prefix.n);
    p = arena_alloc(a, m->dest_prefix.n + rest + 1);
    if (p == NULL)
        mem_exhausted("a mirrored key");
    if (m->dest_prefix.n > 0)
        memcpy(p, m->dest_prefix.p, m->dest_prefix.n);
    if (rest > 0)
        memcpy(p + m->dest_prefix.n, key.p + m->prefix.n, rest);
    return bytes_of(p, m->dest_prefix.n + rest);
}

/* ---- puts ---- */

static void send_put(void *arg);

static void put_free(struct pending_put *p)
{
    p->base->under_way--;
    ketch_stop(p->base->m->from);
    arena_done(&p->arena);
    mem_free(p);
}

static void on_put(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct pending_put *p = user;
    struct base *b = p->base;

    ketch_reply_free(reply);
    if (e->code == KETCH_UNAVAILABLE) {
        ketch_after(b->m->to, MIRROR_RETRY_MS, send_put, p);
        return;
    }
    if (e->code == KETCH_OK)
        b->m->total++;
    else if (b->error.code == KETCH_OK)
        b->error = *e;
    put_free(p);
}

static void send_put(void *arg)
{
    struct pending_put *p = arg;

    if (ketch_start(p->base->m->to, KETCH_METHOD_put, &p->req.base, 0, on_put, p) == NULL)
        mem_exhausted("a mirrored key");
}

static void start_put(struct base *b, const Mvccpb__KeyValue *kv)
{
    struct pending_put *p = xmem_calloc(1, sizeof(*p));

    p->base = b;
    p->req = (Etcdserverpb__PutRequest) ETCDSERVERPB__PUT_REQUEST__INIT;
    arena_init(&p->arena, CTL_REQUEST_BYTES_MAX);
    p->req.key = wire_binary(mirror_key(b->m, &p->arena, bytes_of(kv->key.data, kv->key.len)));
    p->req.value.len = kv->value.len;
    p->req.value.data = kv->value.len == 0 ? NULL
                                           : arena_dup(&p->arena, kv->value.data, kv->value.len);
    if (p->req.value.data == NULL && kv->value.len > 0)
        mem_exhausted("a mirrored value");
    b->under_way++;
    send_put(p);
}

static void wait_below(struct base *b, size_t n)
{
    while (b->under_way >= n)
        ketch_run(b->m->from);
}

/* ---- pages ---- */

/* Puts one page; *ret_more: ask for the next, from behind the last key. */
static int copy_page(struct base *b, Etcdserverpb__RangeRequest *req, bool *ret_more)
{
    struct mirror *m = b->m;
    const Etcdserverpb__RangeResponse *resp;
    struct ketch_reply *reply;

    if (ketch_range(m->from, req, 0, &reply, &resp, &b->error) != KETCH_OK)
        return CTL_ERROR;
    req->revision = req->revision != 0 ? req->revision : resp->header->revision;
    for (size_t i = 0; i < resp->n_kvs && b->error.code == KETCH_OK; i++) {
        start_put(b, resp->kvs[i]);
        wait_below(b, MIRROR_PUTS);
    }
    *ret_more = resp->more && resp->n_kvs > 0;
    if (*ret_more) { /* the key that comes next in byte order */
        const Mvccpb__KeyValue *last = resp->kvs[resp->n_kvs - 1];

        buf_clear(&b->next);
        buf_add(&b->next, last->key.data, last->key.len);
        buf_add_char(&b->next, 0);
        req->key = wire_binary(buf_bytes(&b->next));
    }
    ketch_reply_free(reply);
    return b->error.code == KETCH_OK ? CTL_OK : CTL_ERROR;
}

int mirror_base(struct mirror *m)
{
    static const struct bytes zero_byte = {(const uint8_t *) "", 1};
    Etcdserverpb__RangeRequest req = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct base b = {.m = m};
    bool more = true;
    int status = CTL_OK;

    req.key = wire_binary(m->prefix.n == 0 ? zero_byte : m->prefix);
    req.range_end = wire_binary(kv_prefix_end(m->prefix, &m->ctl->arena));
    req.limit = MIRROR_PAGE_KEYS;
    req.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    buf_init(&b.next, CTL_REQUEST_BYTES_MAX);
    while (status == CTL_OK && more)
        status = copy_page(&b, &req, &more);
    wait_below(&b, 1);
    buf_done(&b.next);
    m->revision = req.revision + 1;
    if (b.error.code == KETCH_OK)
        return CTL_OK;
    return cli_fail(CTL_ERROR, "%s", b.error.text);
}
