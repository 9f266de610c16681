/* actors_test.c -- a real node on real threads, over real files whose syncs can be made to hang. */
#include "unit/cmd/etcd/threads.h"

/* ---- files that hang ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool shut;
    int waiting; /* syncs of the log that hang */
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static const struct file_ops *real_file;
static struct file_ops gated_file;

static void gate_pass(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.waiting++;
    while (gate.shut)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.waiting--;
    pthread_mutex_unlock(&gate.lock);
}

static void gate_set(bool shut)
{
    pthread_mutex_lock(&gate.lock);
    gate.shut = shut;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static bool gate_has_waiter(void)
{
    bool has;

    pthread_mutex_lock(&gate.lock);
    has = gate.waiting > 0;
    pthread_mutex_unlock(&gate.lock);
    return has;
}

static int gated_sync(struct file *f, enum file_sync_kind kind, struct err *e)
{
    gate_pass();
    return real_file->sync(f, kind, e);
}

static int gated_write_durable(struct file *f, const struct bytes *v, size_t vn, uint64_t off,
                               struct err *e)
{
    gate_pass();
    return real_file->write_durable(f, v, vn, off, e);
}

/* Only the log's files hang: the data file's are the store's, which nobody waits for here. */
static int gated_open(struct disk *d, const char *path, unsigned flags, unsigned mode,
                      struct file **ret, struct err *e)
{
    int rc = disk_posix()->ops->open(d, path, flags, mode, ret, e);

    if (rc == 0 && strstr(path, "/member/wal") != NULL) {
        if (real_file == NULL) { /* the first file of all, before there are threads */
            real_file = (*ret)->ops;
            gated_file = *real_file;
            gated_file.sync = gated_sync;
            gated_file.write_durable = gated_write_durable;
        }
        (*ret)->ops = &gated_file;
    }
    return rc;
}

/* ---- a member ---- */

struct world {
    struct threads t;
    struct disk_ops ops;
    struct disk disk;
};

static struct request *ask(struct world *w, enum node_request_kind kind, const char *key)
{
    struct request *q = request_new(&w->t.sink, kind);
    uint8_t *body;

    if (key != NULL) { /* a put of that key: field 1 of PutRequest */
        size_t n = strlen(key);

        body = arena_alloc(q->r.arena, n + 2);
        body[0] = 0x0a;
        body[1] = (uint8_t) n;
        memcpy(body + 2, key, n);
        q->r.op = 4;
        q->r.body = bytes_of(body, n + 2);
    }
    node_submit(w->t.node, &q->r);
    return q;
}

static struct world *world_new(void)
{
    struct world *w = test_calloc(1, sizeof *w);
    struct node_config cfg = threads_config(&w->t, "actors");

    w->ops = *disk_posix()->ops;
    w->ops.open = gated_open;
    w->disk.ops = &w->ops;
    threads_open(&w->t, &cfg, &w->disk, NULL);
    threads_start(&w->t);
    for (int i = 0; i < TRIES && !node_read_now(w->t.node); i++)
        pause_ms(1);
    assert_true(node_read_now(w->t.node));
    assert_true(node_is_alone(w->t.node));
    return w;
}

static void world_free(struct world *w)
{
    threads_end(&w->t);
    test_free(w);
}

/* ---- the tests ---- */

/* While a sync of the log hangs, what needs no sync is answered, and a put is not; when the disk
 * answers again, the put is, and so is what came meanwhile.  Several times, so that each of the two
 * threads has had to take over from the other. */
static void a_hung_sync_stops_only_what_waits_for_it(void **state)
{
    struct world *w = world_new();

    (void) state;
    for (int i = 0; i < 4; i++) {
        struct request *put, *later, *list;

        gate_set(true);
        put = ask(w, NODE_REQ_PROPOSE, "a");
        for (int k = 0; k < TRIES && !gate_has_waiter(); k++)
            pause_ms(1);
        assert_true(gate_has_waiter());
        later = ask(w, NODE_REQ_PROPOSE, "b");
        list = ask(w, NODE_REQ_LEASE_LIST, NULL);
        wait_answered(list);
        assert_false(atomic_load(&put->answered));
        assert_false(atomic_load(&later->answered));
        gate_set(false);
        wait_answered(put);
        wait_answered(later);
        assert_true(put->r.index < later->r.index);
        request_free(put);
        request_free(later);
        request_free(list);
    }
    world_free(w);
}

struct client {
    struct world *w;
    pthread_t thread;
    raft_index last;
    bool may_be_guest;
    int guest_n;
};

static void *put_many(void *arg)
{
    struct client *c = arg;

    for (int i = 0; i < 200; i++) {
        bool guest = c->may_be_guest && actors_borrow(&c->w->t.actors);
        struct request *q = ask(c->w, NODE_REQ_PROPOSE, "k");

        if (guest)
            actors_run_guest(&c->w->t.actors);
        c->guest_n += guest;
        while (!atomic_load(&q->answered))
            pause_ms(0);
        assert_int_equal(q->r.result.err, API_OK);
        assert_true(q->r.index > c->last);
        c->last = q->r.index;
        request_free(q);
    }
    return NULL;
}

/* Returns how often one of them was the core's guest. */
static int put_by_threads(struct world *w, bool may_be_guests)
{
    struct client c[4] = {0};
    struct request *q;
    int guest_n = 0;

    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        c[i].w = w;
        c[i].may_be_guest = may_be_guests;
        assert_int_equal(pthread_create(&c[i].thread, NULL, put_many, &c[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        pthread_join(c[i].thread, NULL);
        guest_n += c[i].guest_n;
    }
    q = ask(w, NODE_REQ_PROPOSE, "last");
    wait_answered(q);
    assert_int_equal(q->r.result.revision, 1 + 200 * ARRAY_LEN(c) + 1);
    request_free(q);
    return guest_n;
}

/* Puts of several threads are all answered, each thread's in order; revisions are as many as puts.
 */
static void puts_of_many_threads_are_all_answered(void **state)
{
    struct world *w = world_new();

    (void) state;
    assert_int_equal(put_by_threads(w, false), 0);
    world_free(w);
}

/* ---- guests ---- */

static void borrow(struct world *w)
{
    for (int i = 0; i < TRIES && !actors_borrow(&w->t.actors); i++)
        pause_ms(1);
    assert_int_equal(atomic_load(&w->t.actors.core), CORE_LENT);
}

/* While the core has nothing to do another thread may have it: what it asks for is done, durable
 * and answered when it gives the core back, and nobody was woken for it. */
static void a_guest_does_its_own_work(void **state)
{
    struct world *w = world_new();

    (void) state;
    for (int i = 0; i < 20; i++) {
        struct request *q;

        borrow(w);
        assert_false(actors_borrow(&w->t.actors)); /* one at a time */
        q = ask(w, NODE_REQ_PROPOSE, "k");
        assert_false(atomic_load(&q->answered));
        actors_run_guest(&w->t.actors);
        assert_true(atomic_load(&q->answered));
        assert_int_equal(q->r.result.revision, 2 + i);
        request_free(q);
    }
    world_free(w);
}

/* Guests and the core's own thread in turn, and all at once: as above. */
static void puts_of_guests_are_all_answered(void **state)
{
    struct world *w = world_new();

    (void) state;
    assert_true(put_by_threads(w, true) > 0);
    world_free(w);
}

struct hung_guest {
    struct world *w;
    struct request *put;
    _Atomic bool gone;
    _Atomic int stood_in, left;
};

static void *be_guest(void *arg)
{
    struct hung_guest *g = arg;

    borrow(g->w);
    gate_set(true); /* not before: the core's own thread might hang instead */
    g->put = ask(g->w, NODE_REQ_PROPOSE, "a");
    actors_run_guest(&g->w->t.actors);
    atomic_store(&g->gone, true);
    return NULL;
}

static void stand_in(void *ctx)
{
    struct hung_guest *g = ctx;

    atomic_fetch_add(&g->stood_in, 1);
    while (!atomic_load(&g->gone))
        pause_ms(1);
    atomic_fetch_add(&g->left, 1);
}

/* A sync that hangs holds up its guest only: the core's threads go on with what needs no sync, one
 * of them stands in for the guest, and everything is answered when the disk is. */
static void a_hung_sync_of_a_guest_stops_only_what_waits_for_it(void **state)
{
    struct world *w = world_new();

    (void) state;
    for (int i = 0; i < 4; i++) {
        struct hung_guest g = {.w = w};
        struct request *later, *list;
        pthread_t thread;

        w->t.actors.stand_in_ctx = &g;
        w->t.actors.stand_in = stand_in;
        assert_int_equal(pthread_create(&thread, NULL, be_guest, &g), 0);
        for (int k = 0; k < TRIES && !gate_has_waiter(); k++)
            pause_ms(1);
        assert_true(gate_has_waiter());
        later = ask(w, NODE_REQ_PROPOSE, "b");
        list = ask(w, NODE_REQ_LEASE_LIST, NULL);
        wait_answered(list);
        for (int k = 0; k < TRIES && atomic_load(&g.stood_in) == 0; k++)
            pause_ms(1);
        assert_int_equal(atomic_load(&g.stood_in), 1);
        assert_false(atomic_load(&g.put->answered));
        assert_false(atomic_load(&later->answered));
        gate_set(false);
        pthread_join(thread, NULL);
        wait_answered(g.put);
        wait_answered(later);
        for (int k = 0; k < TRIES && atomic_load(&g.left) == 0; k++)
            pause_ms(1);
        assert_int_equal(atomic_load(&g.left), 1);
        assert_true(g.put->r.index < later->r.index);
        request_free(g.put);
        request_free(later);
        request_free(list);
    }
    world_free(w);
}

/* Threads that were started end, whether or not anything was ever asked of them. */
static void threads_end_that_had_nothing_to_do(void **state)
{
    (void) state;
    for (int i = 0; i < 3; i++)
        world_free(world_new());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hung_sync_stops_only_what_waits_for_it),
        cmocka_unit_test(puts_of_many_threads_are_all_answered),
        cmocka_unit_test(a_guest_does_its_own_work),
        cmocka_unit_test(puts_of_guests_are_all_answered),
        cmocka_unit_test(a_hung_sync_of_a_guest_stops_only_what_waits_for_it),
        cmocka_unit_test(threads_end_that_had_nothing_to_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
