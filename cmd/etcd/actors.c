#include "etcd/actors.h"

void actors_init(struct actors *a)
{
    *a = (struct actors){0};
    waker_init(&a->core_waker);
    waker_init(&a->standby);
    waker_init(&a->store_waker);
    waker_init(&a->work_waker);
    atomic_init(&a->wal_began, INT64_MIN / 2); /* the core is free for who comes first */
}

void actors_wake(void *actors, enum node_actor which)
{
    struct actors *a = actors;

    switch (which) {
    case NODE_RAFT:
    case NODE_APPLY:
        waker_wake(&a->core_waker);
        return;
    case NODE_WAL:
        atomic_store(&a->wal_wanted, true);
        waker_wake(atomic_load(&a->apart) ? &a->standby : &a->core_waker);
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

static int64_t turn(struct actors *a, enum node_actor which)
{
    return node_run(a->node, which, clock_mono_ns(clock_posix()), clock_wall_ms(clock_posix()));
}

/* The sooner of two times to run again; negative means never. */
static int64_t sooner(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return MAX(a, b);
    return MIN(a, b);
}

/* ---- wal ---- */

/* One turn of wal, unless the other thread is at it. */
static void run_wal(struct actors *a)
{
    if (atomic_exchange(&a->wal_runs, true))
        return;
    atomic_store(&a->wal_wanted, false);
    if (turn(a, NODE_WAL) == 0)
        atomic_store(&a->wal_wanted, true);
    atomic_store(&a->wal_runs, false);
    if (atomic_load(&a->wal_wanted))
        waker_wake(&a->core_waker);
}

/* Without the core, so that the other thread may take it when this takes long.  False: it has. */
static bool run_wal_between(struct actors *a)
{
    atomic_store(&a->wal_began, clock_mono_ns(clock_posix()));
    atomic_store(&a->core, false);
    run_wal(a);
    return !atomic_exchange(&a->core, true);
}

/* ---- the core ---- */

/* A member that is no longer alone, or is so again, changes what the two threads do. */
static bool is_apart(struct actors *a)
{
    bool apart = !node_is_alone(a->node);

    if (apart != atomic_load_explicit(&a->apart, memory_order_relaxed)) {
        atomic_store(&a->apart, apart);
        waker_wake(&a->standby);
    }
    return apart;
}

static void hold_core(struct actors *a)
{
    while (!atomic_load(&a->stopping)) {
        int64_t again_ns = sooner(turn(a, NODE_RAFT), turn(a, NODE_APPLY));

        if (is_apart(a)) {
            if (atomic_load(&a->wal_wanted))
                waker_wake(&a->standby);
        } else if (atomic_load(&a->wal_wanted) && !atomic_load(&a->wal_runs)) {
            if (!run_wal_between(a))
                return;
            again_ns = 0; /* there is news for raft */
        }
        if (again_ns != 0)
            waker_wait(&a->core_waker, again_ns);
    }
    atomic_store(&a->core, false);
}

static void stand_by(struct actors *a)
{
    bool apart = atomic_load(&a->apart);

    /* Looking now and then costs less than being woken before every sync. */
    if (!waker_wait(&a->standby, apart ? -1 : ACTORS_STALL_NS) || !apart)
        return;
    while (atomic_load(&a->wal_wanted) && atomic_load(&a->apart))
        run_wal(a);
}

/* The core is free when a sync has been running for long, or before either thread has had it. */
static bool take_core(struct actors *a)
{
    if (atomic_load(&a->core) ||
        clock_mono_ns(clock_posix()) - atomic_load(&a->wal_began) < ACTORS_STALL_NS)
        return false;
    return !atomic_exchange(&a->core, true);
}

static void run_core(void *arg)
{
    struct actors *a = arg;

    while (!atomic_load(&a->stopping)) {
        if (take_core(a))
            hold_core(a);
        else
            stand_by(a);
    }
}

/* ---- the others ---- */

static void run_alone(struct actors *a, enum node_actor which, struct waker *w)
{
    while (!atomic_load(&a->stopping)) {
        int64_t again_ns = turn(a, which);

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
        rc = thread_start(name, run_core, a, &a->cores[i], e);
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
    waker_wake(&a->core_waker);
    waker_wake(&a->standby);
    waker_wake(&a->store_waker);
    waker_wake(&a->work_waker);
    for (int i = 0; i < ACTORS_CORES; i++)
        join(&a->cores[i]);
    join(&a->store);
    join(&a->work);
}
