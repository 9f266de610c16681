/* A server on several loops and clients on another, with answers that are made on yet another
 * thread: the shape of the real server.  Meant to be run under ThreadSanitizer too. */
#define _GNU_SOURCE
#include "unit/engine/net/rig.h"

#include "sys/thread.h"

#define LOOPS 3
#define CHANNELS 9
#define CALLS 300

/* What a call waits for: the "apply thread" answers it by a task to the call's loop. */
struct work {
    struct mpsc_node node;
    struct loop_task task;
    struct call *c;
    struct bytes request;
};

struct worker {
    struct mpsc queue;
    struct waker waker;
    _Atomic bool stop;
    struct thread *thread;
};

static struct worker worker;

static void on_worked(struct loop_task *t)
{
    struct work *k = CONTAINER_OF(t, struct work, task);
    struct net_piece p = net_piece_kept(k->request.p, k->request.n);

    assert_true(loop_is_mine(call_loop(k->c)));
    call_reply(k->c, &p, 1);
}

static void work(void *arg)
{
    struct worker *w = arg;

    for (;;) {
        struct mpsc_node *n = mpsc_take(&w->queue);

        if (n == NULL && w->stop)
            return;
        if (n == NULL)
            waker_wait(&w->waker, 100000000);
        while (n != NULL) {
            struct work *k = CONTAINER_OF(n, struct work, node);

            n = n->next;
            k->task.run = on_worked;
            loop_post(call_loop(k->c), &k->task);
        }
    }
}

static void submit(struct call *c, struct bytes m)
{
    struct work *k = arena_alloc(call_arena(c), sizeof *k);

    assert_non_null(k);
    *k = (struct work){.c = c, .request = m};
    if (mpsc_push(&worker.queue, &k->node))
        waker_wake(&worker.waker);
}

static const struct net_method methods[] = {
    {.path = "/t.T/Work", .kind = NET_UNARY, .request = submit},
};

static _Atomic bool server_stopped;

static void on_server_stopped(void *user)
{
    (void) user;
    server_stopped = true;
}

/* Calls over many connections, spread over the loops, each answered by way of another thread: every
 * one gets its own answer, every loop served some, and the counters add up. */
static void answers_from_another_thread(void **state)
{
    struct loop *loops[LOOPS], *mine;
    struct net_server_options o = {.loops = loops, .loops_n = LOOPS};
    struct net_listen where = {.host = "127.0.0.1", .tls = rig_tls.server};
    struct channel *ch[CHANNELS];
    struct outcome *out = xmem_calloc(CHANNELS * CALLS, sizeof *out);
    struct net_server *server;
    struct net_counters n;
    struct rig g = {0};
    struct err e = ERR_INIT;
    uint16_t port;

    (void) state;
    mpsc_init(&worker.queue);
    waker_init(&worker.waker);
    worker.stop = false;
    assert_int_equal(thread_start("worker", work, &worker, &worker.thread, &e), 0);
    net_limits_default(&o.limits);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(loop_new("io", &loops[i], &e), 0);
    assert_int_equal(loop_new("client", &mine, &e), 0);
    assert_int_equal(net_server_new(&o, &server, &e), 0);
    assert_int_equal(net_server_add(server, methods, 1, NULL, &e), 0);
    assert_int_equal(net_server_listen(server, &where, &port, &e), 0);
    net_server_start(server);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(loop_start(loops[i], &e), 0);

    g.loop = mine;
    loop_timer_init(&g.watchdog, rig_late);
    for (int i = 0; i < CHANNELS; i++) {
        struct channel_options co = {.host = "127.0.0.1", .port = port, .tls = rig_tls.client};

        assert_int_equal(channel_new(mine, &co, &ch[i], &e), 0);
    }
    for (int i = 0; i < CHANNELS * CALLS; i++) {
        g.ch = ch[i % CHANNELS];
        start_unary(&g, &out[i], "/t.T/Work", bytes_of(&i, sizeof i), 20000);
    }
    for (int i = 0; i < CHANNELS * CALLS; i++) {
        rig_wait(&g, &out[i].done);
        assert_int_equal(out[i].code, 0);
        assert_memory_equal(out[i].response, &i, sizeof i);
        outcome_done(&out[i]);
    }
    net_server_counters(server, &n);
    assert_int_equal(n.calls_total, CHANNELS * CALLS);
    assert_int_equal(n.connections_open, CHANNELS);
    assert_int_equal(n.grpc_bytes_in, CHANNELS * CALLS * sizeof(int));
    for (int i = 0; i < CHANNELS; i++)
        channel_free(ch[i]);
    server_stopped = false;
    net_server_stop(server, 1000, on_server_stopped, NULL);
    while (!server_stopped)
        rig_turn(&g, 1);
    for (int i = 0; i < LOOPS; i++) {
        loop_stop(loops[i]);
        loop_join(loops[i]);
    }
    worker.stop = true;
    waker_wake(&worker.waker);
    thread_join(worker.thread);
    net_server_free(server);
    for (int i = 0; i < LOOPS; i++)
        loop_free(loops[i]);
    loop_free(mine);
    mem_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_from_another_thread)};

    return cmocka_run_group_tests(tests, NULL, NULL) +
           cmocka_run_group_tests_name("over TLS", tests, rig_tls_on, rig_tls_off);
}
