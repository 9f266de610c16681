/* Election.Observe: the pair of who leads, and every later one.
 *
 * All keys of the election are followed and the leader's are told.  When the leader's key goes, the
 * next one is looked up in the newest view; events that this view has seen already are passed over.
 * A client that does not read is told of the newest pair when it reads again. */
#include "edge/server/contest.h"
#include "edge/server/election.h"
#include "edge/server/follow.h"
#include "edge/server/permit.h"
#include "edge/server/self.h"
#include "v3election.pb-c.h"

#define OBSERVE_QUEUED_HIGH (1u << 20) /* bytes that wait: more events are passed over */
#define OBSERVE_QUEUED_LOW (256u << 10)
#define LOOK_BYTES_MAX (64u << 20)

struct observer {
    struct call *call;
    struct io *io;
    struct contest contest;
    struct follow follow;
    bool following;
    struct leader_guard guard;
    struct buf leader; /* its key; empty: nobody leads */
    int64_t seen;      /* the revision that was looked at, or told of, last */
    bool skipped;      /* something was not told */
    bool denied;       /* the caller may not read the election: the stream ends, without an error */
    int code;          /* what the stream ends with */
    const char *text;
};

/* ---- the end ---- */

static void finish(struct observer *o)
{
    leader_guard_end(&o->guard);
    call_on_writable(o->call, 0, NULL);
    buf_done(&o->leader);
    call_finish(o->call, o->code, o->text);
}

static void stop(struct observer *o, int code, const char *text)
{
    if (o->code != GRPC_OK)
        return;
    o->code = code;
    o->text = text;
    if (o->following)
        follow_stop(&o->follow);
}

static void canceled(struct call *c, enum call_cancel_reason why)
{
    (void) why;
    stop(call_user(c), GRPC_CANCELED, "context canceled");
}

static void leaderless(struct leader_guard *g)
{
    stop(CONTAINER_OF(g, struct observer, guard), (int) api_error_code(API_NO_LEADER),
         api_error_text(API_NO_LEADER));
}

/* ---- telling ---- */

static void tell(struct observer *o, struct bytes kv, int64_t revision)
{
    struct mvcc_header h = header_make(o->io->server, revision, 0);
    uint8_t head[ELECTION_HEAD_BYTES_MAX];
    struct net_piece pieces[2];

    if (call_queued_bytes(o->call) >= OBSERVE_QUEUED_HIGH) {
        o->skipped = true;
        return;
    }
    if (call_send(o->call, pieces, election_pieces(&h, kv, head, pieces)) == 0)
        count_sent(o->io, METHOD_OBSERVE);
    else
        stop(o, GRPC_RESOURCE_EXHAUSTED, "etcdserver: the connection takes no more responses");
}

static void lead(struct observer *o, const struct contest_kv *kv, int64_t revision)
{
    buf_clear(&o->leader);
    if (!buf_add_bytes(&o->leader, kv->key))
        stop(o, GRPC_RESOURCE_EXHAUSTED, "etcdserver: out of memory");
    else
        tell(o, kv->raw, revision);
}

/* True: the caller may still read the election. */
static bool may_look(struct observer *o)
{
    struct arena a;

    arena_init(&a, LOOK_BYTES_MAX);
    o->denied = permit_range(o->call, &a, AUTH_READ, o->contest.prefix, o->contest.end) != API_OK;
    arena_done(&a);
    return !o->denied;
}

/* Who leads now. */
static void look(struct observer *o)
{
    const struct mvcc_view *v = mvcc_view_pin(o->io->reader);
    struct contest_kv kv;
    struct arena a;
    int rc;

    arena_init(&a, LOOK_BYTES_MAX);
    rc = contest_holder(&o->contest, v, &a, &kv);
    o->seen = mvcc_view_revision(v);
    buf_clear(&o->leader);
    if (rc == 0)
        lead(o, &kv, o->seen);
    else if (rc != ERR_NOT_FOUND)
        stop(o, GRPC_RESOURCE_EXHAUSTED, "etcdserver: out of memory");
    arena_done(&a);
    mvcc_view_unpin(v);
}

static void event(struct follow *f, const struct follow_event *ev)
{
    struct observer *o = CONTAINER_OF(f, struct observer, follow);
    struct contest_kv kv;

    contest_kv_read(ev->kv, &kv);
    if (kv.mod_revision <= o->seen)
        return;
    if (o->leader.len == 0) {
        if (!ev->is_delete)
            lead(o, &kv, kv.mod_revision);
    } else if (bytes_eq(kv.key, buf_bytes(&o->leader))) {
        if (ev->is_delete && !may_look(o))
            follow_stop(&o->follow);
        else if (ev->is_delete)
            look(o);
        else
            tell(o, kv.raw, ev->revision);
    }
}

static void lost(struct follow *f)
{
    follow_stop(f);
}

static void follow(struct observer *o);

static void stopped(struct follow *f)
{
    struct observer *o = CONTAINER_OF(f, struct observer, follow);

    o->following = false;
    if (o->code != GRPC_OK || o->denied)
        finish(o);
    else
        follow(o); /* history was compacted away: from what is there now */
}

static const struct follow_hooks hooks = {event, lost, stopped};

static void writable(struct call *c)
{
    struct observer *o = call_user(c);

    if (!o->skipped || o->code != GRPC_OK)
        return;
    if (!may_look(o)) {
        follow_stop(&o->follow);
        return;
    }
    o->skipped = false;
    look(o);
}

static void follow(struct observer *o)
{
    if (may_look(o))
        look(o);
    if (o->denied || o->code != GRPC_OK) {
        finish(o);
        return;
    }
    o->following = true;
    follow_start(&o->follow, o->io, o->contest.prefix, o->contest.end, 0, o->seen + 1, &hooks);
}

static void observe_run(struct req *r)
{
    struct observer *o = r->user;
    const char *text;
    int code = self_code(&r->node.result, &text);

    if (code != GRPC_OK)
        stop(o, code, text);
    if (o->code != GRPC_OK)
        finish(o);
    else
        follow(o);
}

void election_observe(struct call *c, struct bytes message)
{
    struct observer *o = arena_calloc(call_arena(c), 1, sizeof *o);
    V3electionpb__LeaderRequest *q;

    count_received(c, METHOD_OBSERVE);
    if (!REQUEST_DECODE(c, v3electionpb__leader_request, message, &q))
        return;
    if (o == NULL || !contest_of(wire_bytes(q->name), call_arena(c), &o->contest)) {
        reply_no_memory(c);
        return;
    }
    o->call = c;
    o->io = call_io(c);
    buf_init(&o->leader, LOOK_BYTES_MAX); /* it may be older than today's --max-request-bytes */
    call_set_user(c, o);
    call_on_cancel(c, canceled);
    call_on_writable(c, OBSERVE_QUEUED_LOW, writable);
    leader_guard_begin(c, &o->guard, leaderless);
    read_when(c, false, o, observe_run);
}
