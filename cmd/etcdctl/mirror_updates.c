/* mirror_updates.c -- the changes of the source, each revision a transaction at the destination.
 *
 * A watch fills a queue of transactions, which are written one after the other.  A queue that is
 * too long makes the watch rest: it begins again, behind what it delivered, when all is written.
 */
#include "base/alloc.h"
#include "etcdctl/mirror.h"
#include "wire/api_error.h"
#include "wire/wire.h"

struct step {
    struct list link;
    struct arena arena;
    size_t bytes;
    Etcdserverpb__TxnRequest req;
};

static void mirror_fail(struct mirror *m, const char *text)
{
    if (m->status == CTL_OK)
        m->status = cli_fail(CTL_ERROR, "%s", text);
    ketch_stop(m->from);
}

/* ---- transactions ---- */

static void *step_alloc(struct step *s, size_t n, size_t size)
{
    void *p = arena_calloc(&s->arena, n, size);

    if (p == NULL)
        mem_exhausted("changes to be mirrored");
    return p;
}

static void set_put(const struct mirror *m, struct step *s, Etcdserverpb__RequestOp *op,
                    const Mvccpb__KeyValue *kv)
{
    Etcdserverpb__PutRequest *put = step_alloc(s, 1, sizeof(*put));

    etcdserverpb__put_request__init(put);
    put->key = wire_binary(mirror_key(m, &s->arena, bytes_of(kv->key.data, kv->key.len)));
    put->value.len = kv->value.len;
    put->value.data = step_alloc(s, kv->value.len + 1, 1);
    if (kv->value.len > 0)
        memcpy(put->value.data, kv->value.data, kv->value.len);
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = put;
    s->bytes += put->key.len + put->value.len;
}

static void set_delete(const struct mirror *m, struct step *s, Etcdserverpb__RequestOp *op,
                       const Mvccpb__KeyValue *kv)
{
    Etcdserverpb__DeleteRangeRequest *del = step_alloc(s, 1, sizeof(*del));

    etcdserverpb__delete_range_request__init(del);
    del->key = wire_binary(mirror_key(m, &s->arena, bytes_of(kv->key.data, kv->key.len)));
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op->request_delete_range = del;
    s->bytes += del->key.len;
}

static void push_step(struct mirror *m, Mvccpb__Event *const *events, size_t n)
{
    struct step *s = xmem_calloc(1, sizeof(*s));
    Etcdserverpb__RequestOp *ops;

    arena_init(&s->arena, CTL_REQUEST_BYTES_MAX);
    etcdserverpb__txn_request__init(&s->req);
    ops = step_alloc(s, n, sizeof(*ops));
    s->req.success = step_alloc(s, n, sizeof(*s->req.success));
    s->req.n_success = n;
    for (size_t i = 0; i < n; i++) {
        etcdserverpb__request_op__init(&ops[i]);
        s->req.success[i] = &ops[i];
        if (events[i]->type == MVCCPB__EVENT__EVENT_TYPE__DELETE)
            set_delete(m, s, &ops[i], events[i]->kv);
        else
            set_put(m, s, &ops[i], events[i]->kv);
    }
    m->total += (int64_t) n;
    m->queued_bytes += s->bytes;
    list_push(&m->steps, &s->link);
}

/* How many of the events belong to one transaction: those of one revision, --max-txn-ops at most.
 */
static size_t step_length(const struct mirror *m, Mvccpb__Event *const *events, size_t n)
{
    size_t i = 1;

    while (i < n && (m->ops_max == 0 || i < m->ops_max) &&
           events[i]->kv->mod_revision == events[0]->kv->mod_revision)
        i++;
    return i;
}

static void step_pop(struct mirror *m)
{
    struct step *s = CONTAINER_OF(list_pop(&m->steps), struct step, link);

    ASSERT(m->queued_bytes >= s->bytes);
    m->queued_bytes -= s->bytes;
    arena_done(&s->arena);
    mem_free(s);
}

/* ---- writing them ---- */

static void start_watch(struct mirror *m);
static void send_first(void *arg);

static void on_written(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct mirror *m = user;

    ketch_reply_free(reply);
    if (e->code == KETCH_UNAVAILABLE) {
        ketch_after(m->to, MIRROR_RETRY_MS, send_first, m);
        return;
    }
    if (e->code != KETCH_OK) {
        mirror_fail(m, e->text);
        return;
    }
    step_pop(m);
    if (!list_empty(&m->steps))
        send_first(m);
    else if (m->watch == NULL)
        start_watch(m);
}

static void send_first(void *arg)
{
    struct mirror *m = arg;
    struct step *s = CONTAINER_OF(m->steps.next, struct step, link);

    ASSERT(!list_empty(&m->steps));
    if (ketch_start(m->to, KETCH_METHOD_txn, &s->req.base, 0, on_written, m) == NULL)
        mem_exhausted("changes to be mirrored");
}

/* ---- the watch ---- */

static void on_watch(const struct ketch_watch_event *ev, void *user)
{
    struct mirror *m = user;
    bool idle = list_empty(&m->steps);

    if (ev->canceled) {
        m->watch = NULL;
        mirror_fail(m, ev->compact_revision != 0 ? api_error_text(API_COMPACTED) : ev->error);
        return;
    }
    for (size_t i = 0; i < ev->event_count;) {
        size_t n = step_length(m, ev->events + i, ev->event_count - i);

        push_step(m, ev->events + i, n);
        i += n;
    }
    if (ev->event_count > 0)
        m->revision = ev->events[ev->event_count - 1]->kv->mod_revision + 1;
    if (m->queued_bytes > MIRROR_QUEUED_BYTES_MAX) {
        ketch_watch_cancel(m->watch);
        m->watch = NULL;
    }
    if (idle && !list_empty(&m->steps))
        send_first(m);
}

static void start_watch(struct mirror *m)
{
    static const struct bytes zero_byte = {(const uint8_t *) "", 1};
    Etcdserverpb__WatchCreateRequest req = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;

    req.key = wire_binary(m->prefix.n == 0 ? zero_byte : m->prefix);
    req.range_end = wire_binary(kv_prefix_end(m->prefix, &m->ctl->arena));
    req.start_revision = m->revision;
    m->watch = ketch_watch(m->from, &req, NULL, on_watch, m);
    if (m->watch == NULL)
        mem_exhausted("a watch");
}

int mirror_updates(struct mirror *m)
{
    list_init(&m->steps);
    start_watch(m);
    while (m->status == CTL_OK)
        ketch_run(m->from);
    if (m->watch != NULL)
        ketch_watch_cancel(m->watch);
    while (!list_empty(&m->steps))
        step_pop(m);
    return m->status;
}
