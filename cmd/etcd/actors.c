/* actors.c -- the threads of a node: they begin, are woken, and end.  What the two that share the
 * core do is in actors_core.c. */
#include "etcd/actors_int.h"

void actors_init(struct actors *a)
{
    *a = (struct actors){0};
    for (int i = 0; i < ACTORS_CORES; i++) {
        a->cores[i].actors = a;
        waker_init(&a->cores[i].waker);
    }
    waker_init(&a->store_waker);
    waker_init(&a->work_waker);
    atomic_init(&a->let_go_at, INT64_MIN / 2); /* the core is free for who comes first */
}

void actors__wake_keeper(struct actors *a)
{
    waker_wake(&a->cores[atomic_load(&a->keeper)].waker);
}

void actors__wake_standby(struct actors *a)
{
    waker_wake(&a->cores[1 - atomic_load(&a->keeper)].waker);
}

static bool is_lent(struct actors *a)
{
    int core = atomic_load(&a->core);

    return core == CORE_LENT || core == CORE_OUT;
}

void actors__wake_core(struct actors *a)
{
    if (is_lent(a)) {
        atomic_store(&a->news, true);
        if (is_lent(a)) /* still: the guest will see it */
            return;
    }
    actors__wake_keeper(a);
}

void actors_wake(void *actors, enum node_actor which)
{
    struct actors *a = actors;

    switch (which) {
    case NODE_RAFT:
    case NODE_APPLY:
        actors__wake_core(a);
        return;
    case NODE_WAL:
        atomic_store(&a->wal_wanted, true);
        /* Who stands by may be at apply yet: then there is only the core. */
        if (atomic_load(&a->apart) && !atomic_load(&a->apply_runs))
            actors__wake_standby(a);
        else
            actors__wake_core(a);
        return;
    case NODE_STORE:
        waker_wake(&a->store_waker);
        return;
    case NODE_WORK:
        waker_wake(&a->work_waker);
        return;
    case NODE_ACTORS:
        break;
    }
    UNREACHABLE();
}

/* ---- the others ---- */

static void run_alone(struct actors *a, enum node_actor which, struct waker *w)
{
    while (!atomic_load(&a->stopping)) {
        int64_t again_ns = actors__turn(a, which);

        if (again_ns != 0)
            waker_wait(w, again_ns);
    }
}

static void run_store(void *arg)
{
    struct actors *a = arg;

    run_alone(a, NODE_STORE, &a->store_waker);
}

static void run_work(void *arg)
{
    struct actors *a = arg;

    run_alone(a, NODE_WORK, &a->work_waker);
}

/* ---- life ---- */

int actors_start(struct actors *a, struct node *n, struct err *e)
{
    int rc = 0;

    a->node = n;
    for (int i = 0; rc == 0 && i < ACTORS_CORES; i++) {
        char name[] = "core-0";

        name[5] = (char) ('0' + i);
        rc = thread_start(name, actors__run_core, &a->cores[i], &a->cores[i].thread, e);
    }
    if (rc == 0)
        rc = thread_start("store", run_store, a, &a->store, e);
    if (rc == 0)
        rc = thread_start("work", run_work, a, &a->work, e);
    if (rc != 0)
        actors_stop(a);
    return rc;
}

static void join(struct thread **t)
{
    thread_join(*t);
    *t = NULL;
}

void actors_stop(struct actors *a)
{
    atomic_store(&a->stopping, true);
    for (int i = 0; i < ACTORS_CORES; i++)
        waker_wake(&a->cores[i].waker);
    waker_wake(&a->store_waker);
    waker_wake(&a->work_waker);
    for (int i = 0; i < ACTORS_CORES; i++)
        join(&a->cores[i].thread);
    join(&a->store);
    join(&a->work);
}
