/* actors_core.c -- the core: who holds it, lets go of it, takes it over, and borrows it.  The
 * states are drawn in actors.h. */
#include "etcd/actors_int.h"

static int64_t now_ns(void)
{
    return clock_mono_ns(clock_posix());
}

int64_t actors__turn(struct actors *a, enum node_actor which)
{
    return node_run(a->node, which, now_ns(), clock_wall_ms(clock_posix()));
}

/* The sooner of two times to run again; negative means never. */
static int64_t sooner(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return MAX(a, b);
    return MIN(a, b);
}

static bool pass_core(struct actors *a, enum core_state from, enum core_state to)
{
    int was = (int) from;

    return atomic_compare_exchange_strong(&a->core, &was, (int) to);
}

/* Whoever gets the core says so before it runs anything: invariant 2. */
static bool hold(struct core_thread *t, enum core_state from)
{
    unsigned self = (unsigned) (t - t->actors->cores);

    if (!pass_core(t->actors, from, CORE_HELD))
        return false;
    t->was_other = atomic_exchange(&t->actors->keeper, self) != self;
    return true;
}

/* Whoever has let go of the core has been away for long, or nobody has had it yet. */
static bool is_stalled(struct actors *a)
{
    return now_ns() - atomic_load(&a->let_go_at) >= ACTORS_STALL_NS;
}

static bool take_core(struct core_thread *t)
{
    if (!is_stalled(t->actors))
        return false;
    if (hold(t, CORE_FREE))
        return true;
    if (!hold(t, CORE_OUT))
        return false;
    actors__wake_standby(t->actors); /* it may sleep as if it still had the core */
    return true;
}

/* ---- wal ---- */

/* One turn of wal, unless the other thread is at it. */
static void run_wal(struct actors *a)
{
    if (atomic_exchange(&a->wal_runs, true))
        return;
    atomic_store(&a->wal_wanted, false);
    if (actors__turn(a, NODE_WAL) == 0)
        atomic_store(&a->wal_wanted, true);
    atomic_store(&a->wal_runs, false);
    if (atomic_load(&a->wal_wanted))
        actors__wake_core(a);
}

/* Without the core, so that the other thread may take it when this takes long.  False: it has. */
static bool run_wal_between(struct core_thread *t)
{
    struct actors *a = t->actors;

    atomic_store(&a->let_go_at, now_ns());
    atomic_store(&a->core, CORE_FREE);
    run_wal(a);
    return hold(t, CORE_FREE);
}

/* ---- apply ---- */

/* With the core.  Left out while the other thread is at it still. */
static int64_t run_apply(struct actors *a, int64_t again_ns)
{
    if (atomic_load(&a->apply_runs))
        return again_ns;
    return sooner(again_ns, actors__turn(a, NODE_APPLY));
}

/* As run_wal_between.  Only who has the core sets apply_runs; who clears it may have lost it. */
static bool run_apply_between(struct core_thread *t, int64_t *again_ns)
{
    struct actors *a = t->actors;

    atomic_store(&a->apply_runs, true);
    atomic_store(&a->let_go_at, now_ns());
    atomic_store(&a->core, CORE_FREE);
    *again_ns = sooner(*again_ns, actors__turn(a, NODE_APPLY));
    atomic_store(&a->apply_runs, false);
    if (!hold(t, CORE_FREE)) {
        actors__wake_core(a);
        return false;
    }
    if (t->was_other)
        *again_ns = 0;
    return true;
}

/* ---- the core ---- */

/* A member that is no longer alone, or is so again, changes what the two threads do. */
static bool is_apart(struct actors *a)
{
    bool apart = !node_is_alone(a->node);

    if (apart != atomic_load_explicit(&a->apart, memory_order_relaxed)) {
        atomic_store(&a->apart, apart);
        actors__wake_standby(a);
    }
    return apart;
}

/* Sleeps until there is something to do, and lends the core meanwhile.  False: the other thread
 * took it from a guest. */
static bool rest(struct core_thread *t, int64_t again_ns)
{
    struct actors *a = t->actors;

    if (atomic_load_explicit(&a->apart, memory_order_relaxed)) {
        waker_wait(&t->waker, again_ns);
        return true;
    }
    a->rest_until = again_ns < 0 ? INT64_MAX : now_ns() + again_ns;
    atomic_store(&a->core, CORE_RESTING);
    waker_wait(&t->waker, again_ns);
    while (!hold(t, CORE_RESTING)) {
        atomic_store(&a->wanted, true); /* before the next look: the guest may just have gone */
        if (hold(t, CORE_RESTING) || take_core(t))
            break;
        if (atomic_load(&a->core) == CORE_HELD)
            return false;
        waker_wait(&t->waker, ACTORS_STALL_NS);
    }
    atomic_store(&a->wanted, false);
    return true;
}

/* Apply, and wal where nobody else runs it.  False: the other thread has the core now. */
static bool run_others(struct core_thread *t, int64_t *again_ns)
{
    struct actors *a = t->actors;

    if (!is_apart(a)) {
        *again_ns = run_apply(a, *again_ns);
    } else if (!atomic_load(&a->apply_runs)) {
        if (!run_apply_between(t, again_ns))
            return false;
        if (atomic_load(&a->wal_wanted))
            actors__wake_standby(a);
        return true;
    }
    if (!atomic_load(&a->wal_wanted) || atomic_load(&a->wal_runs))
        return true;
    *again_ns = 0; /* there will be news for raft */
    return run_wal_between(t);
}

static void hold_core(struct core_thread *t)
{
    struct actors *a = t->actors;

    while (!atomic_load(&a->stopping)) {
        int64_t again_ns = actors__turn(a, NODE_RAFT);

        if (!run_others(t, &again_ns) || (again_ns != 0 && !rest(t, again_ns)))
            return;
    }
    atomic_store(&a->core, CORE_FREE);
}

/* Sleeps until woken, or until it is time to look whether the core is stalled.  Looking now and
 * then costs less than being woken before every sync or turn of apply; but beside others nobody
 * looks for long after the last write to the log, for what would apply be at?  True: woken. */
static bool wait_beside(struct core_thread *t, bool apart)
{
    bool looks = !apart || t->quiet_n < ACTORS_QUIET_LOOKS;
    bool woken = waker_wait(&t->waker, looks ? ACTORS_STALL_NS : -1);

    t->quiet_n = woken || atomic_load(&t->actors->apply_runs) ? 0 : t->quiet_n + 1;
    return woken;
}

static void stand_by(struct core_thread *t)
{
    struct actors *a = t->actors;
    bool apart = atomic_load(&a->apart);

    if (atomic_load(&a->guests_out) > 0 && a->stand_in != NULL && is_stalled(a))
        a->stand_in(a->stand_in_ctx);
    if (!wait_beside(t, apart) || !apart)
        return;
    while (atomic_load(&a->wal_wanted) && !atomic_load(&a->wal_runs) && atomic_load(&a->apart))
        run_wal(a);
}

void actors__run_core(void *core_thread)
{
    struct core_thread *t = core_thread;

    while (!atomic_load(&t->actors->stopping)) {
        if (take_core(t))
            hold_core(t);
        else
            stand_by(t);
    }
}

/* ---- a guest ---- */

bool actors_borrow(struct actors *a)
{
    return !atomic_load(&a->stopping) && pass_core(a, CORE_RESTING, CORE_LENT);
}

/* As run_wal_between. */
static bool run_wal_as_guest(struct actors *a)
{
    bool back;

    atomic_store(&a->let_go_at, now_ns());
    atomic_fetch_add(&a->guests_out, 1);
    atomic_store(&a->core, CORE_OUT);
    run_wal(a);
    back = pass_core(a, CORE_OUT, CORE_LENT);
    atomic_fetch_sub(&a->guests_out, 1);
    return back;
}

static void give_back(struct actors *a, int64_t again_ns)
{
    bool sooner_than_planned = again_ns >= 0 &&
                               now_ns() + again_ns + ACTORS_LATE_NS < a->rest_until;
    bool news, wanted;

    atomic_store(&a->core, CORE_RESTING);
    news = atomic_exchange(&a->news, false);
    wanted = atomic_load(&a->wanted);
    if (sooner_than_planned || news || wanted)
        actors__wake_keeper(a);
}

void actors_run_guest(struct actors *a)
{
    int64_t again_ns = 0;

    for (int i = 0; i < ACTORS_GUEST_TURNS_MAX && (again_ns == 0 || atomic_load(&a->news)); i++) {
        atomic_store(&a->news, false);
        again_ns = run_apply(a, actors__turn(a, NODE_RAFT));
        if (!node_is_alone(a->node)) { /* the holder knows what that means */
            again_ns = 0;
            break;
        }
        if (atomic_load(&a->wal_wanted) && !atomic_load(&a->wal_runs)) {
            if (!run_wal_as_guest(a))
                return;
            again_ns = 0;
        }
    }
    give_back(a, again_ns);
}
