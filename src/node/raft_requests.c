/* raft_requests.c -- proposals on their way into the log, and who waits for them.
 *
 * A turn's proposals are put into one block of memory that the log, the WAL writer and the apply
 * queue share by reference, and are appended to the log in one call.
 */
#include "node/node_int.h"
#include "wire/pb.h"

#define FIELD_HEADER 100
#define FIELD_ID_OLD 1
#define HEADER_ID 1
#define HEADER_USERNAME 2
#define HEADER_AUTH_REVISION 3

static size_t header_bytes(const struct node_request *r)
{
    size_t name = r->username == NULL ? 0 : strlen(r->username);

    return pb_u64_size(HEADER_ID, r->id) + pb_bytes_size(HEADER_USERNAME, name) +
           pb_u64_size(HEADER_AUTH_REVISION, r->auth_revision);
}

/* The encoded InternalRaftRequest: the header, and the client's own bytes under the number of the
 * operation. */
static size_t entry_bytes(const struct node_request *r)
{
    size_t h = header_bytes(r);

    return pb_head_size(FIELD_HEADER, h) + h + pb_head_size(r->op, r->body.n) + r->body.n;
}

static uint8_t *put_header(uint8_t *p, const struct node_request *r)
{
    p = pb_put_head(p, FIELD_HEADER, header_bytes(r));
    p = pb_put_u64(p, HEADER_ID, r->id);
    if (r->username != NULL)
        p = pb_put_bytes(p, HEADER_USERNAME, bytes_str(r->username));
    return pb_put_u64(p, HEADER_AUTH_REVISION, r->auth_revision);
}

static uint8_t *put_body(uint8_t *p, const struct node_request *r)
{
    p = pb_put_head(p, r->op, r->body.n);
    return pb_put_raw(p, r->body.p, r->body.n);
}

/* Fields in ascending order, as every encoder of the message writes them. */
static uint8_t *put_entry(uint8_t *p, const struct node_request *r)
{
    if (r->op < FIELD_HEADER)
        return put_header(put_body(p, r), r);
    return put_body(put_header(p, r), r);
}

/* ---- who waits ---- */

static void wait_for(struct node *n, struct node_request *r)
{
    if (!map64_put(&n->raft.waiting, r->id, r))
        mem_exhausted("table of waiting requests");
    list_push(&n->raft.by_age, &r->age);
}

static uint64_t entry_id(const struct raft_entry *e)
{
    struct pb_reader r = pb_reader_of(e->data);
    struct pb_field f;
    uint64_t id = 0, old = 0;

    while (pb_next(&r, &f)) {
        struct pb_reader h;

        if (f.number == FIELD_ID_OLD && f.type == PB_VARINT)
            old = f.value;
        if (f.number != FIELD_HEADER || f.type != PB_LEN)
            continue;
        h = pb_reader_of(f.bytes);
        while (pb_next(&h, &f)) {
            if (f.number == HEADER_ID && f.type == PB_VARINT)
                id = f.value;
        }
    }
    return old != 0 ? old : id;
}

static uint64_t change_id(const struct raft_entry *e)
{
    struct raft_conf_change cc;

    return raft_conf_change_get(e->data, &cc, NULL) == 0 ? cc.id : 0;
}

struct node_request *node__waiting_take(struct node *n, const struct raft_entry *e)
{
    struct node_request *r;

    if (n->raft.waiting.count == 0 || e->data.n == 0)
        return NULL;
    r = map64_del(&n->raft.waiting, e->type == RAFT_ENTRY_NORMAL ? entry_id(e) : change_id(e));
    if (r != NULL) {
        list_remove(&r->age);
        r->index = e->index;
    }
    return r;
}

/* ---- into the log ---- */

struct batch {
    struct node_request *requests[NODE_PROPOSE_BATCH_MAX];
    size_t n;
    size_t bytes;
};

static void propose(struct node *n, struct batch *b)
{
    struct raft_actor *ra = &n->raft;
    struct payload *block;
    uint8_t *p;
    int rc;

    if (b->n == 0)
        return;
    block = payload_new(b->bytes);
    if (block == NULL) {
        for (size_t i = 0; i < b->n; i++)
            node__fail_text(n, &ra->out, b->requests[i], GRPC_RESOURCE_EXHAUSTED, "out of memory");
        goto out;
    }
    p = block->data;
    for (size_t i = 0; i < b->n; i++) {
        uint8_t *end = put_entry(p, b->requests[i]);

        ra->batch[i] = (struct raft_entry){
            .type = RAFT_ENTRY_NORMAL, .data = bytes_of(p, (size_t) (end - p)), .owner = block};
        p = end;
    }
    ASSERT(p == block->data + b->bytes);
    rc = raft_propose(ra->raft, ra->batch, b->n);
    for (size_t i = 0; i < b->n; i++) {
        if (rc == 0)
            wait_for(n, b->requests[i]);
        else
            node__fail_text(n, &ra->out, b->requests[i], GRPC_UNKNOWN, raft_err_text(rc));
        if (rc != 0)
            node__count_failed_proposal(n);
    }
    payload_unref(block);
out:
    b->n = 0;
    b->bytes = 0;
}

static raft_index match_of(struct node *n, raft_id id)
{
    struct raft_peer_status p;

    return node__raft_peer(n, id, &p) ? p.match : 0;
}

/* A learner votes once it has nine tenths of the leader's log. */
static enum api_error may_promote(struct node *n, const struct cluster_change *ch)
{
    if (!ch->promote)
        return API_OK;
    if (!n->raft.is_leader)
        return API_NOT_LEADER;
    return match_of(n, ch->member.id) * 10 >= match_of(n, n->member_id) * 9 ? API_OK
                                                                            : API_LEARNER_NOT_READY;
}

/* A change of membership goes alone. */
static void propose_change(struct node *n, struct node_request *r)
{
    struct raft_conf_change cc = {.type = r->change->type, .node_id = r->change->member.id};
    enum api_error refused = may_promote(n, r->change);
    struct buf context;
    int rc;

    if (refused == API_NOT_LEADER) { /* any more: it is the other leader's to judge */
        if (mpsc_push(&n->apply.requests, &r->link))
            node__wake(n, NODE_APPLY);
        return;
    }
    if (refused != API_OK) {
        node__fail(n, &n->raft.out, r, refused);
        return;
    }
    buf_init(&context, NODE_REQUEST_BYTES_MAX);
    r->id = cc.id = node_next_id(n);
    if (!cluster_change_context_put(r->change, &context)) {
        buf_done(&context);
        node__fail(n, &n->raft.out, r, API_REQUEST_TOO_LARGE);
        return;
    }
    cc.context = buf_bytes(&context);
    rc = raft_propose_conf_change(n->raft.raft, &cc);
    buf_done(&context);
    if (rc == 0)
        wait_for(n, r);
    else
        node__fail_text(n, &n->raft.out, r, GRPC_UNKNOWN, raft_err_text(rc));
}

static bool backlog_is_long(const struct node *n)
{
    return raft_get_commit(n->raft.raft) > n->raft.applied + NODE_BACKLOG_MAX;
}

static void add_to_batch(struct node *n, struct batch *b, struct node_request *r)
{
    size_t bytes;

    if ((atomic_load(&n->pub.disk_full) & NODE_LOG_ENDS) != 0) {
        node__fail(n, &n->raft.out, r, API_NO_SPACE);
        return;
    }
    /* A lease ends by the word of who leads now; another leader has given it new time. */
    if (r->leader_only && raft_get_state(n->raft.raft) != RAFT_LEADER) {
        node__fail(n, &n->raft.out, r, API_NOT_LEADER);
        return;
    }
    if (backlog_is_long(n)) {
        node__fail(n, &n->raft.out, r, API_REQUEST_TOO_MANY_REQUESTS);
        return;
    }
    r->id = node_next_id(n);
    bytes = entry_bytes(r);
    if (bytes > n->cfg.request_bytes_max && r->sink != &n->internal) {
        node__fail(n, &n->raft.out, r, API_REQUEST_TOO_LARGE);
        return;
    }
    if (b->n == NODE_PROPOSE_BATCH_MAX ||
        (b->n > 0 && b->bytes + bytes > NODE_PROPOSE_BATCH_BYTES_MAX))
        propose(n, b);
    b->requests[b->n++] = r;
    b->bytes += bytes;
}

static void take(struct node *n, struct batch *b, struct node_request *r)
{
    if (r->kind != NODE_REQ_MEMBER_CHANGE) {
        add_to_batch(n, b, r);
        return;
    }
    propose(n, b);
    propose_change(n, r);
}

/* Proposals that came while there was no leader go first, in the order in which they came. */
static void unblock(struct node *n, struct batch *b)
{
    struct list *x;

    while ((x = list_pop(&n->raft.blocked)) != NULL)
        take(n, b, CONTAINER_OF(x, struct node_request, age));
}

/* ---- who rides along ---- */

/* A login hurries nobody: its caller has waited for bcrypt a hundred times as long.  A write of its
 * own, though, is a sync, and whoever writes meanwhile waits for that, too.  So while others write
 * it goes with the next of them.  True: it waits for that. */
static bool rides(struct node *n, struct node_request *r, mono_ns now)
{
    struct raft_actor *ra = &n->raft;

    if (r->kind != NODE_REQ_PROPOSE || r->op != NODE_OP_AUTHENTICATE) {
        ra->wrote_at = now;
        return false;
    }
    if (now - ra->wrote_at >= NODE_RIDE_NS)
        return false;
    if (list_empty(&ra->riders))
        ra->ride_by = now + NODE_RIDE_NS;
    list_push(&ra->riders, &r->age);
    return true;
}

static void ride(struct node *n, struct batch *b)
{
    struct list *x;

    while ((x = list_pop(&n->raft.riders)) != NULL)
        take(n, b, CONTAINER_OF(x, struct node_request, age));
}

mono_ns node__raft_ride_by(const struct node *n)
{
    return list_empty(&n->raft.riders) ? INT64_MAX : n->raft.ride_by;
}

/* ---- a turn's ---- */

/* What came before goes into the log first; what comes now waits for the next leader.  True: it
 * has begun. */
static bool begin_transfer(struct node *n, struct batch *b, struct node_request *r)
{
    ride(n, b);
    propose(n, b);
    node__transfer_begin(n, r);
    return node__is_leaderless(n);
}

void node__raft_take_requests(struct node *n, mono_ns now)
{
    struct raft_actor *ra = &n->raft;
    struct batch *b = ra->batch_requests;
    bool leaderless = node__is_leaderless(n);

    node__held_step(n, now);
    if (leaderless)
        list_splice(&ra->blocked, &ra->riders);
    else
        unblock(n, b);
    for (struct mpsc_node *x = mpsc_take(&ra->requests), *next; x != NULL; x = next) {
        struct node_request *r = CONTAINER_OF(x, struct node_request, link);

        next = x->next;
        list_init(&r->age);
        r->begin = now;
        r->deadline = now + node__request_timeout_ns(n);
        if (r->kind == NODE_REQ_MOVE_LEADER)
            leaderless = begin_transfer(n, b, r);
        else if (leaderless)
            list_push(&ra->blocked, &r->age);
        else if (!rides(n, r, now))
            take(n, b, r);
    }
    if (b->n > 0 || now >= node__raft_ride_by(n) || atomic_load(&n->stopping))
        ride(n, b);
    propose(n, b);
}

struct batch *node__batch_new(void)
{
    return xmem_calloc(1, sizeof(struct batch));
}

/* ---- time-outs ---- */

void node__raft_expire(struct node *n, mono_ns now)
{
    struct raft_actor *ra = &n->raft;

    while (!list_empty(&ra->by_age)) {
        struct node_request *r = CONTAINER_OF(ra->by_age.next, struct node_request, age);

        if (r->deadline > now)
            break;
        list_remove(&r->age);
        map64_del(&ra->waiting, r->id);
        node__fail(n, &ra->out, r, node__timeout_error(n, r->begin));
        node__count_failed_proposal(n);
    }
    while (!list_empty(&ra->blocked)) {
        struct node_request *r = CONTAINER_OF(ra->blocked.next, struct node_request, age);

        if (r->deadline > now)
            break;
        list_remove(&r->age);
        /* It never got into raft: the context's own words, as etcd answers. */
        node__fail_text(n, &ra->out, r, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
    }
}

static void fail_list(struct node *n, struct list *l, enum api_error err)
{
    struct list *x;

    while ((x = list_pop(l)) != NULL)
        node__fail(n, &n->raft.out, CONTAINER_OF(x, struct node_request, age), err);
}

void node__raft_fail_all(struct node *n, enum api_error err)
{
    struct raft_actor *ra = &n->raft;

    fail_list(n, &ra->by_age, err);
    map64_done(&ra->waiting);
    fail_list(n, &ra->blocked, err);
    fail_list(n, &ra->riders, err);
    fail_list(n, &ra->transfers, err);
    fail_list(n, &ra->reads_next, err);
    fail_list(n, &ra->reads_round, err);
    fail_list(n, &ra->reads_apply, err);
}
