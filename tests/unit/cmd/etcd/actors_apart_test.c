/* actors_apart_test.c -- a member of three on real threads, over real files; the others are played
 * by what it sends to. */
#include "unit/cmd/etcd/threads.h"

#include "engine/raft/raft.h"
#include "lib/node/stub.h"

struct world {
    struct threads t;
    struct node_transport transport;
    struct node_sink gate; /* who delivers here is kept */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool shut;
    _Atomic bool kept;
    _Atomic raft_id acknowledges; /* the one of the others that does so */
    _Atomic int heartbeats;
    _Atomic uint64_t commit; /* the highest that was sent */
};

/* ---- the others ---- */

/* Both vote; one of them has whatever it is sent, so that nothing is committed before the member
 * has it on its own disk. */
static bool answer(struct world *w, const struct raft_message *m, struct raft_message *ret)
{
    raft_id none = RAFT_NONE;

    if (!stub_answer(m, ret))
        return false;
    if (m->type != RAFT_MSG_APP)
        return true;
    atomic_compare_exchange_strong(&w->acknowledges, &none, m->to);
    return atomic_load(&w->acknowledges) == m->to;
}

/* Called by one actor. */
static void on_send(void *ctx, const struct raft_message *m, size_t n)
{
    struct world *w = ctx;

    for (size_t i = 0; i < n; i++) {
        struct raft_message a;

        if (m[i].type == RAFT_MSG_HEARTBEAT)
            atomic_fetch_add(&w->heartbeats, 1);
        if (m[i].commit > atomic_load(&w->commit))
            atomic_store(&w->commit, m[i].commit);
        if (answer(w, &m[i], &a))
            node_receive(w->t.node, member_message(&a));
    }
}

/* ---- requests ---- */

static void deliver_at_gate(struct node_sink *s, struct node_request *first)
{
    struct world *w = CONTAINER_OF(s, struct world, gate);

    pthread_mutex_lock(&w->lock);
    atomic_store(&w->kept, true);
    while (w->shut)
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
    deliver(s, first);
}

static void gate_set(struct world *w, bool shut)
{
    pthread_mutex_lock(&w->lock);
    w->shut = shut;
    atomic_store(&w->kept, false);
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static struct request *ask(struct world *w, struct node_sink *sink, enum node_request_kind kind)
{
    static const uint8_t put[] = {0x0a, 1, 'k'}; /* PutRequest {1: "k"} */
    struct request *q = request_new(sink, kind);

    q->r.op = NODE_OP_PUT;
    q->r.body = bytes_of(put, sizeof put);
    node_submit(w->t.node, &q->r);
    return q;
}

/* ---- the member ---- */

static struct world *world_new(void)
{
    static const char *const names[] = {"m", "other", "third"};
    static const char *const urls[] = {"http://localhost:2380", "http://other:1", "http://third:1"};
    struct world *w = test_calloc(1, sizeof *w);
    struct node_config cfg;
    struct node_status st = {0};

    w->transport = stub_transport(on_send, w);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    cfg = threads_config(&w->t, "apart");
    cfg.initial_names = names;
    cfg.initial_urls = urls;
    cfg.initial_n = ARRAY_LEN(names);
    threads_open(&w->t, &cfg, disk_posix(), &w->transport);
    w->gate.deliver = deliver_at_gate;
    node_sink_add(w->t.node, &w->gate);
    threads_start(&w->t);
    for (int i = 0; i < TRIES && !st.ready; i++) {
        pause_ms(1);
        node_status(w->t.node, &st);
    }
    assert_true(st.ready);
    assert_true(st.is_leader);
    assert_false(node_is_alone(w->t.node));
    return w;
}

static void world_free(struct world *w)
{
    threads_end(&w->t);
    test_free(w);
}

/* ---- the tests ---- */

/* While apply is at something for long, here at handing over an answer, heartbeats go out, and what
 * is proposed gets into the log, onto the disk and to a majority; it is answered when apply is
 * through.  Several times, so that each of the two threads has had to take over from the other. */
static void a_long_turn_of_apply_stops_no_heartbeat(void **state)
{
    struct world *w = world_new();

    (void) state;
    for (int i = 0; i < 4; i++) {
        struct request *list, *put;
        uint64_t commit = atomic_load(&w->commit);
        int heartbeats;

        gate_set(w, true);
        list = ask(w, &w->gate, NODE_REQ_LEASE_LIST);
        for (int k = 0; k < TRIES && !atomic_load(&w->kept); k++)
            pause_ms(1);
        assert_true(atomic_load(&w->kept));
        heartbeats = atomic_load(&w->heartbeats);
        put = ask(w, &w->t.sink, NODE_REQ_PROPOSE);
        for (int k = 0; k < TRIES && (atomic_load(&w->heartbeats) < heartbeats + 10 ||
                                      atomic_load(&w->commit) <= commit);
             k++)
            pause_ms(1);
        assert_true(atomic_load(&w->heartbeats) >= heartbeats + 10);
        assert_true(atomic_load(&w->commit) > commit);
        assert_false(atomic_load(&put->answered));
        assert_false(atomic_load(&list->answered));
        gate_set(w, false);
        wait_answered(list);
        wait_answered(put);
        request_free(list);
        request_free(put);
    }
    world_free(w);
}

/* What is proposed by many at once is answered once each, whoever runs what. */
static void every_put_is_answered(void **state)
{
    struct world *w = world_new();
    struct request *q[500];
    raft_index last = 0;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(q); i++) {
        q[i] = ask(w, &w->t.sink, NODE_REQ_PROPOSE);
        if (i % 7 == 0)
            wait_answered(q[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(q); i++) {
        wait_answered(q[i]);
        assert_true(q[i]->r.index > last);
        last = q[i]->r.index;
        request_free(q[i]);
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_turn_of_apply_stops_no_heartbeat),
        cmocka_unit_test(every_put_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
