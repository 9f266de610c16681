/* Election.Observe: the pair of who leads, and every later one.
 *
 * All keys of the election are followed and the leader's are told.  When the leader's key goes, the
 * next one is looked up in the newest view; events that this view has seen already are passed over.
 * A client that does not read is told of the newest pair when it reads again.
 *
 *      LOOKING --> ready: told --> FOLLOWING -- the leader's key goes --> LOOKING, at once
 *         ^                           |                                      |
 *         |                           |                           or it takes slices: no longer
 *         +---- both have ended: from the view's revision on <--- follows, and looks on
 *
 * What comes during a look in slices is not heard: it is read from history after it. */
#include "edge/server/election.h"
#include "edge/server/follow.h"
#include "edge/server/look.h"
#include "edge/server/permit.h"
#include "edge/server/self.h"
#include "v3election.pb-c.h"

#define OBSERVE_QUEUED_HIGH (1u << 20) /* bytes that wait: more events are passed over */
#define OBSERVE_QUEUED_LOW (256u << 10)
#define PERMIT_BYTES_MAX (16u << 20) /* who calls, for as long as a question */
#define LEADER_KEY_BYTES_MAX (64u << 20)

struct observer {
    struct look look; /* first: as the user of its call it is there as well */
    struct call *call;
    struct io *io;
    struct contest contest;
    bool looking;
    struct follow follow;
    bool following;
    bool lost; /* history was compacted away: from what is there now */
    struct leader_guard guard;
    struct buf leader; /* its key; empty: nobody leads */
    int64_t seen;      /* the revision that was looked at, or told of, last */
    bool skipped;      /* something was not told */
    bool denied;       /* the caller may not read the election: the stream ends, without an error */
    int code;          /* what the stream ends with */
    const char *text;
};

_Static_assert(offsetof(struct observer, look) == 0, "both are where the other is");

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
    if (o->looking)
        look_give_up(&o->look);
    if (o->following)
        follow_stop(&o->follow);
}

/* A client whose deadline has passed may still hear of it. */
static void stop_canceled(struct observer *o)
{
    if (call_canceled(o->call) == CALL_DEADLINE)
        stop(o, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
    else
        stop(o, GRPC_CANCELED, "context canceled");
}

static void canceled(struct call *c, enum call_cancel_reason why)
{
    (void) why;
    stop_canceled(call_user(c));
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

/* ---- who leads now ---- */

/* True: the caller may still read the election. */
static bool may_look(struct observer *o)
{
    struct arena a;

    arena_init(&a, PERMIT_BYTES_MAX);
    o->denied = permit_range(o->call, &a, AUTH_READ, o->contest.prefix, o->contest.end) != API_OK;
    arena_done(&a);
    return !o->denied;
}

static void settle(struct observer *o);

static void looked(struct look *l, int rc, const struct contest_kv *kv)
{
    struct observer *o = CONTAINER_OF(l, struct observer, look);

    o->looking = false;
    call_set_user(o->call, o);
    call_on_cancel(o->call, canceled);
    o->seen = mvcc_view_revision(l->view);
    buf_clear(&o->leader);
    if (rc == ERR_CANCELED)
        stop_canceled(o);
    else if (rc != 0 && rc != ERR_NOT_FOUND)
        stop(o, GRPC_RESOURCE_EXHAUSTED, "etcdserver: out of memory");
    else if (may_look(o) && rc == 0) /* who may see it may have changed meanwhile */
        lead(o, kv, o->seen);
    look_end(l);
    settle(o);
}

/* The observer may be gone when this returns, unless it follows. */
static void look(struct observer *o)
{
    Etcdserverpb__RangeRequest q = contest_holder_range(&o->contest);
    bool followed = o->following;

    if (may_look(o)) {
        o->lost = o->skipped = false;
        o->looking = true;
        look_begin(&o->look, o->call, &q, looked);
    } else {
        settle(o);
    }
    if (followed && o->looking)
        follow_stop(&o->follow);
}

/* ---- following ---- */

static void event(struct follow *f, const struct follow_event *ev)
{
    struct observer *o = CONTAINER_OF(f, struct observer, follow);
    struct contest_kv kv;

    ASSERT(!o->looking);
    contest_kv_read(ev->kv, &kv);
    if (kv.mod_revision <= o->seen)
        return;
    if (o->leader.len == 0) {
        if (!ev->is_delete)
            lead(o, &kv, kv.mod_revision);
    } else if (bytes_eq(kv.key, buf_bytes(&o->leader))) {
        if (ev->is_delete)
            look(o);
        else
            tell(o, kv.raw, ev->revision);
    }
}

static void lost(struct follow *f)
{
    CONTAINER_OF(f, struct observer, follow)->lost = true;
    follow_stop(f);
}

static void stopped(struct follow *f)
{
    struct observer *o = CONTAINER_OF(f, struct observer, follow);

    o->following = false;
    settle(o);
}

static const struct follow_hooks hooks = {event, lost, stopped};

/* Goes on, or ends, once nothing is under way any more that has to come back first. */
static void settle(struct observer *o)
{
    bool ends = o->code != GRPC_OK || o->denied;

    if (o->looking)
        return;
    if (o->following) {
        if (ends)
            follow_stop(&o->follow);
    } else if (ends) {
        finish(o);
    } else if (o->lost) {
        look(o);
    } else {
        o->following = true;
        follow_start(&o->follow, o->io, o->contest.prefix, o->contest.end, 0, o->seen + 1, &hooks);
    }
}

static void writable(struct call *c)
{
    struct observer *o = call_user(c);

    if (o->skipped && o->code == GRPC_OK && !o->looking)
        look(o);
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
        look(o);
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
    buf_init(&o->leader,
             LEADER_KEY_BYTES_MAX); /* it may be older than today's --max-request-bytes */
    call_set_user(c, o);
    call_on_cancel(c, canceled);
    call_on_writable(c, OBSERVE_QUEUED_LOW, writable);
    leader_guard_begin(c, &o->guard, leaderless);
    read_when(c, false, o, observe_run);
}
