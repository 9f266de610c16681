#include "etcd/actors.h"

static const char *const thread_names[NODE_ACTORS] = {"raft", "wal", "apply", "store", "work"};

/* Raft and apply share a thread: a put then costs one wake-up less, and apply's turns are short. */
static const enum node_actor thread_of[NODE_ACTORS] = {
    [NODE_RAFT] = NODE_RAFT,   [NODE_WAL] = NODE_WAL,   [NODE_APPLY] = NODE_RAFT,
    [NODE_STORE] = NODE_STORE, [NODE_WORK] = NODE_WORK,
};

void actors_init(struct actors *a)
{
    *a = (struct actors){0};
    for (int i = 0; i < NODE_ACTORS; i++) {
        a->threads[i].actors = a;
        a->of[i] = &a->threads[thread_of[i]];
        a->of[i]->runs[i] = true;
        waker_init(&a->threads[i].waker);
    }
}

void actors_wake(void *actors, enum node_actor which)
{
    struct actors *a = actors;

    waker_wake(&a->of[which]->waker);
}

/* The sooner of two times to run again; negative means never. */
static int64_t sooner(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return MAX(a, b);
    return MIN(a, b);
}

static void run(void *arg)
{
    struct actors_thread *t = arg;
    struct node *n = t->actors->node;

    while (!atomic_load(&t->actors->stopping)) {
        int64_t again_ns = -1;

        for (int i = 0; i < NODE_ACTORS; i++) {
            if (t->runs[i])
                again_ns = sooner(again_ns,
                                  node_run(n, (enum node_actor) i, clock_mono_ns(clock_posix()),
                                           clock_wall_ms(clock_posix())));
        }
        if (again_ns != 0)
            waker_wait(&t->waker, again_ns);
    }
}

int actors_start(struct actors *a, struct node *n, struct err *e)
{
    a->node = n;
    for (int i = 0; i < NODE_ACTORS; i++) {
        int rc = a->of[i] != &a->threads[i]
                     ? 0
                     : thread_start(thread_names[i], run, &a->threads[i], &a->threads[i].thread, e);

        if (rc != 0) {
            actors_stop(a);
            return rc;
        }
    }
    return 0;
}

void actors_stop(struct actors *a)
{
    atomic_store(&a->stopping, true);
    for (int i = 0; i < NODE_ACTORS; i++)
        waker_wake(&a->threads[i].waker);
    for (int i = 0; i < NODE_ACTORS; i++) {
        thread_join(a->threads[i].thread);
        a->threads[i].thread = NULL;
    }
}
