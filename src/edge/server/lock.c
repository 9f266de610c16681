/* The Lock service (v3lockpb). */
#include "edge/server/contend.h"
#include "v3lock.pb-c.h"

static void reply_key(struct call *c, const struct mvcc_header *h, struct bytes key)
{
    V3lockpb__LockResponse m = V3LOCKPB__LOCK_RESPONSE__INIT;

    m.key = wire_binary(key);
    reply_message(c, h, &m.base);
}

/* ---- lock ---- */

static void entered(struct contender *c, const struct contest_kv *found)
{
    (void) found;
    contend_first(c);
}

static void first(struct contender *c)
{
    reply_key(c->call, &c->header, c->key);
}

/* The lease may have ended while the call waited, and the key with it: the log is asked. */
static void held(struct req *r)
{
    struct contender *c = r->user;
    const struct mvcc_view *v;
    struct mvcc_header h;
    struct bytes kv;
    const char *text;
    int code = self_code(&r->node.result, &text);
    bool there;

    if (contend_canceled(c))
        return;
    if (code != GRPC_OK) {
        contend_give_up(c, code, text);
        return;
    }
    v = mvcc_view_pin(c->io->reader);
    h = header_make(c->io->server, mvcc_view_revision(v), 0);
    there = mvcc_view_get(v, c->key, h.revision, &kv);
    mvcc_view_unpin(v);
    if (there)
        reply_key(c->call, &h, c->key);
    else
        call_finish(c->call, GRPC_UNKNOWN, "mutex: session is expired");
}

static void won(struct contender *c)
{
    read_when(c->call, false, c, held);
}

static const struct contender_hooks lock_hooks = {entered, first, won};

static void lock(struct call *call, struct bytes message)
{
    struct contender *c = arena_calloc(call_arena(call), 1, sizeof *c);
    V3lockpb__LockRequest *q;

    count_received(call, METHOD_LOCK);
    if (c == NULL) {
        reply_no_memory(call);
        return;
    }
    if (!REQUEST_DECODE(call, v3lockpb__lock_request, message, &q))
        return;
    c->call = call;
    c->hooks = &lock_hooks;
    c->name = wire_bytes(q->name);
    c->lease = q->lease;
    c->owner_read = true;
    contend(c);
}

/* ---- unlock ---- */

static void unlocked(struct req *r)
{
    struct mvcc_header h;

    if (self_failed(r->call, &r->node.result))
        return;
    h = self_header(r);
    reply_header(r->call, &h);
}

static void unlock(struct call *c, struct bytes message)
{
    V3lockpb__UnlockRequest *q;

    count_received(c, METHOD_UNLOCK);
    if (REQUEST_DECODE(c, v3lockpb__unlock_request, message, &q))
        self_delete(c, wire_bytes(q->key), NULL, unlocked);
}

const struct net_method lock_methods[] = {METHOD_UNARY(LOCK, lock), METHOD_UNARY(UNLOCK, unlock)};
const size_t lock_methods_n = ARRAY_LEN(lock_methods);
