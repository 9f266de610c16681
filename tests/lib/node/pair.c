#include "lib/node/pair.h"

#include "base/alloc.h"

#define STEP_NS INT64_C(1000000)

static struct pair_side *other(struct pair_side *s)
{
    return &s->pair->side[s == &s->pair->side[0]];
}

/* ---- messages ---- */

static void on_send(void *ctx, const struct raft_message *m, size_t n)
{
    struct pair_side *to = other(ctx);

    for (size_t i = 0; i < n; i++) {
        struct node_message *x;

        if (to->pair->cut || !to->up || m[i].to != to->id)
            continue;
        x = member_message(&m[i]);
        x->link.next = NULL;
        node_receive(to->m.node, x);
    }
}

static void on_members(void *ctx, const struct cluster_view *v)
{
    (void) ctx;
    (void) v;
}

static mono_ns active_since(void *ctx, raft_id id)
{
    struct pair_side *s = ctx;

    (void) id;
    return s->pair->cut || !other(s)->up ? 0 : 1;
}

static void on_ask(void *ctx, struct node_question *q)
{
    (void) ctx;
    q->done(q, 0, BYTES_EMPTY);
}

/* ---- snapshots ---- */

static struct call *call_new(struct member *m, enum node_request_kind kind)
{
    struct call *c = xmem_calloc(1, sizeof *c);

    c->r = (struct node_request){.kind = kind, .sink = &m->sink, .arena = arena_new(1 << 16)};
    return c;
}

static void on_snapshot(void *ctx, struct node_sending *s)
{
    struct pair *p = ((struct pair_side *) ctx)->pair;

    if (p->snapshot.sending != NULL || p->cut || !p->side[1].up) {
        node_sent(p->side[0].m.node, s, false);
        return;
    }
    p->snapshot = (struct pair_snapshot){
        .sending = s,
        .message = member_message(&s->m),
        .receiving = node_receiving_new(s->m.snapshot->meta.index)};
}

static void snapshot_over(struct pair *p, const char *why)
{
    struct pair_snapshot x = p->snapshot;

    p->snapshot = (struct pair_snapshot){0};
    if (why == NULL) {
        p->snapshots++;
    } else {
        p->failed++;
        snprintf(p->why, sizeof p->why, "%s", why);
        x.message->release(x.message);
    }
    if (p->side[1].up)
        node_receiving_free(x.receiving);
    node_sent(p->side[0].m.node, x.sending, why == NULL);
}

static void give(struct pair *p, struct payload *piece)
{
    struct pair_snapshot *x = &p->snapshot;

    x->last = piece->bytes == 0;
    x->taken = call_new(&p->side[1].m, x->last ? NODE_REQ_RECEIVE_END : NODE_REQ_RECEIVE_PIECE);
    x->taken->r.receiving = x->receiving;
    x->taken->r.piece = piece;
    x->taken->r.message = x->message;
    node_submit(p->side[1].m.node, &x->taken->r);
}

/* What became of the piece that the receiver was given. */
static void taken(struct pair *p)
{
    struct pair_snapshot *x = &p->snapshot;
    bool ok = x->taken->r.result.code == GRPC_OK, last = x->last;
    char why[256];

    snprintf(why, sizeof why, "%s", ok ? "" : x->taken->r.result.text);
    payload_unref(x->taken->r.piece);
    call_free(x->taken);
    x->taken = NULL;
    if (!ok || last)
        snapshot_over(p, ok ? NULL : why);
}

static void carry(struct pair *p)
{
    struct pair_snapshot *x = &p->snapshot;

    if (x->sending == NULL || p->side[1].stuck)
        return;
    if (x->piece != NULL && x->piece->answered) {
        struct payload *piece = x->piece->r.result.piece;

        call_free(x->piece);
        x->piece = NULL;
        give(p, piece);
    } else if (x->taken != NULL && x->taken->answered) {
        taken(p);
    } else if (x->piece == NULL && x->taken == NULL) {
        x->piece = call_new(&p->side[0].m, NODE_REQ_SNAPSHOT_PIECE);
        x->piece->r.snapshot = x->sending->copy;
        node_submit(p->side[0].m.node, &x->piece->r);
    }
}

static void drain(struct pair_side *s, const struct call *c)
{
    while (c != NULL && !c->answered)
        member_run(&s->m, 10, &c->answered);
}

static void drop_piece(struct pair *p)
{
    struct pair_snapshot *x = &p->snapshot;

    drain(&p->side[0], x->piece);
    if (x->piece == NULL)
        return;
    payload_unref(x->piece->r.result.piece);
    call_free(x->piece);
    x->piece = NULL;
}

/* The receiver is gone with all that it had. */
static void forget_snapshot(struct pair *p)
{
    if (p->snapshot.sending == NULL)
        return;
    drop_piece(p);
    snapshot_over(p, "the receiver is gone");
}

/* The connection is cut; both members live. */
static void abort_snapshot(struct pair *p)
{
    struct pair_snapshot *x = &p->snapshot;
    struct call *abort;

    drop_piece(p);
    drain(&p->side[1], x->taken);
    if (x->taken != NULL)
        taken(p);
    if (x->sending == NULL)
        return;
    abort = call_new(&p->side[1].m, NODE_REQ_RECEIVE_ABORT);
    abort->r.receiving = x->receiving;
    node_submit(p->side[1].m.node, &abort->r);
    drain(&p->side[1], abort);
    call_free(abort);
    snapshot_over(p, "the connection is cut");
}

/* ---- life ---- */

static void side_init(struct pair *p, int i, uint64_t seed)
{
    struct pair_side *s = &p->side[i];

    s->pair = p;
    s->disk = simdisk_new(seed + (uint64_t) i);
    s->transport = (struct node_transport){.send = on_send,
                                           .members = on_members,
                                           .active_since = active_since,
                                           .ask = on_ask,
                                           .send_snapshot = on_snapshot,
                                           .ctx = s};
    member_init(&s->m, simdisk_disk(s->disk), seed * 2 + (uint64_t) i);
    s->m.transport = &s->transport;
    s->m.cfg.snapshot_count = 50;
    s->m.cfg.catchup_entries = 10;
}

void pair_run(struct pair *p, int64_t ms, const bool *until)
{
    mono_ns end = p->side[0].m.now + ms * 1000000;

    while (p->side[0].m.now < end && (until == NULL || !*until)) {
        bool busy = false;

        for (int i = 0; i < 2; i++) {
            struct pair_side *s = &p->side[i];

            if (!s->up)
                continue;
            busy |= member_turn(&s->m);
            if (s->m.died[0] != '\0')
                return;
        }
        carry(p);
        for (int i = 0; i < 2; i++)
            p->side[i].m.now += busy ? 1000 : STEP_NS;
    }
}

void pair_put(struct pair *p, const char *prefix, int n, size_t bytes)
{
    uint8_t *value = xmem_calloc(1, bytes + 1);

    memset(value, 'v', bytes);
    for (int i = 0; i < n; i++) {
        Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
        char key[64];
        struct call *c;

        snprintf(key, sizeof key, "%s%d", prefix, i);
        put.key = wire_binary(bytes_str(key));
        put.value = wire_binary(bytes_of(value, bytes));
        c = member_submit(&p->side[0].m, 4, &put.base);
        pair_run(p, 20000, &c->answered);
        ASSERT(c->answered);
        ASSERT(c->r.result.err == API_OK);
        call_free(c);
    }
    mem_free(value);
}

void pair_init(struct pair *p, uint64_t seed, int puts, size_t bytes,
               void (*configure)(struct node_config *c))
{
    struct node_status st;
    struct err e = ERR_INIT;

    *p = (struct pair){0};
    for (int i = 0; i < 2; i++) {
        side_init(p, i, seed);
        if (configure != NULL)
            configure(&p->side[i].m.cfg);
    }
    if (member_open(&p->side[0].m, &e) != 0)
        abort();
    p->side[0].up = true;
    pair_run(p, 3000, NULL);
    node_status(p->side[0].m.node, &st);
    p->side[0].id = st.member_id;
    p->side[1].m.cfg.joined_cluster_id = st.cluster_id;
    pair_put(p, "k", puts, bytes);
}

void pair_add(struct pair *p, enum pair_as as)
{
    static const char *const urls[] = {"http://localhost:2480"};
    struct cluster_change change = {.type = as == PAIR_LEARNER ? RAFT_CONF_ADD_LEARNER_NODE
                                                               : RAFT_CONF_ADD_NODE,
                                    .member = {.name = "",
                                               .peer_urls = {(const char **) (uintptr_t) urls, 1},
                                               .is_learner = as == PAIR_LEARNER}};
    struct call *c = call_new(&p->side[0].m, NODE_REQ_MEMBER_CHANGE);
    struct node_config *cfg = &p->side[1].m.cfg;

    c->r.change = &change;
    node_submit(p->side[0].m.node, &c->r);
    pair_run(p, 20000, &c->answered);
    ASSERT(c->answered);
    ASSERT(c->r.result.err == API_OK);
    p->side[1].id = cfg->joined_member_id = change.member.id;
    cfg->initial_existing = true;
    cfg->name = "second";
    cfg->peer_urls = urls;
    call_free(c);
}

bool pair_start(struct pair *p)
{
    struct pair_side *s = &p->side[1];
    struct err e = ERR_INIT;
    int rc;

    s->m.now = p->side[0].m.now;
    s->m.died[0] = '\0';
    rc = member_open(&s->m, &e);
    if (rc > 0 || rc < -1)
        snprintf(p->why, sizeof p->why, "%s", e.msg);
    s->up = rc == 0;
    return rc == 0;
}

void pair_crash(struct pair *p, enum simdisk_crash_mode mode)
{
    struct pair_side *s = &p->side[1];

    s->up = false;
    member_abandon(&s->m);
    forget_snapshot(p);
    simdisk_crash(s->disk, mode);
}

static uint64_t applied(struct pair_side *s)
{
    struct node_status st;

    node_status(s->m.node, &st);
    return st.applied;
}

bool pair_agree(struct pair *p, int64_t ms)
{
    for (int64_t i = 0; i < ms; i += 20) {
        pair_run(p, 20, NULL);
        if (p->side[0].m.died[0] != '\0' || p->side[1].m.died[0] != '\0')
            return false;
        if (applied(&p->side[0]) == applied(&p->side[1]) && p->snapshot.sending == NULL)
            return true;
    }
    return false;
}

void pair_close(struct pair *p, int i)
{
    if (p->snapshot.sending != NULL)
        abort_snapshot(p);
    p->side[i].up = false;
    member_close(&p->side[i].m);
}

void pair_done(struct pair *p)
{
    for (int i = 1; i >= 0; i--) {
        if (p->side[i].up)
            pair_close(p, i);
        simdisk_free(p->side[i].disk);
    }
}
