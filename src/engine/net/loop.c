#define _GNU_SOURCE
#include "engine/net/loop.h"

#include "base/alloc.h"
#include "engine/net/call_int.h"
#include "engine/net/conn.h"
#include "engine/net/loop_int.h"
#include "engine/net/tls_worker.h"
#include "engine/net/turn.h"

/* Work that makes more work within one turn: after so many rounds the sockets get their turn. */
#define ROUNDS_MAX 8

#define NS_PER_MS 1000000

static void on_timer(uv_timer_t *h);

/* ---- the turn ---- */

static void refresh_now(struct loop *l)
{
    l->now = clock_mono_ns(l->clock);
}

void loop__turn_begin(struct loop *l)
{
    if (l->awake)
        return;
    l->awake = true;
    atomic_store_explicit(&l->asleep, false, memory_order_relaxed);
    l->turn++;
    refresh_now(l);
}

static bool run_tasks(struct loop *l)
{
    struct mpsc_node *n = mpsc_take(&l->tasks);
    bool any = n != NULL;

    while (n != NULL) {
        struct loop_task *t = CONTAINER_OF(n, struct loop_task, node);

        n = n->next; /* before run: it may free or post the task */
        t->run(t);
    }
    return any;
}

static bool run_hooks(struct loop *l)
{
    struct list armed;
    struct list *x;
    bool any = false;

    list_init(&armed);
    list_splice(&armed, &l->hooks);
    while ((x = list_pop(&armed)) != NULL) {
        struct loop_hook *h = CONTAINER_OF(x, struct loop_hook, link);

        any = true;
        h->run(h);
    }
    return any;
}

static bool run_writes(struct loop *l)
{
    struct list dirty;
    struct list *x;
    bool any = false;

    list_init(&dirty);
    list_splice(&dirty, &l->dirty);
    while ((x = list_pop(&dirty)) != NULL) {
        any = true;
        conn__flush(CONTAINER_OF(x, struct conn, dirty_link));
    }
    return any;
}

static void run_timers(struct loop *l)
{
    struct heap_item *min;

    while ((min = heap_min(&l->timers)) != NULL && min->key <= l->now) {
        struct loop_timer *t = CONTAINER_OF(min, struct loop_timer, item);

        heap_remove(&l->timers, min);
        t->fire(t);
    }
}

/* Makes libuv's timer fire no later than the earliest of ours.  It may fire early (when that one
 * was stopped meanwhile): that costs a wake-up, moving it every time would cost more. */
static void arm_timer(struct loop *l)
{
    struct heap_item *min = heap_min(&l->timers);
    int64_t wait_ms;

    if (min == NULL || min->key >= l->timer_armed_ns)
        return;
    uv_update_time(&l->uv);
    wait_ms = (min->key - l->now + NS_PER_MS - 1) / NS_PER_MS;
    uv_timer_start(&l->timer, on_timer, (uint64_t) MAX(wait_ms, 0), 0);
    l->timer_armed_ns = min->key;
}

/* True when nothing is left to do before waiting. */
static bool turn_settle(struct loop *l)
{
    for (int i = 0; i < ROUNDS_MAX; i++) {
        bool any = run_tasks(l);

        any = run_hooks(l) || any;
        any = run_writes(l) || any;
        if (!any)
            return true;
    }
    return false;
}

/* What waits for a later turn, such as the last words of a connection that yields, has turns as
 * any others, each with its number and time, but for the sockets. */
static void settle_all(struct loop *l)
{
    turn_settle(l);
    while (!list_empty(&l->carried) || !list_empty(&l->owing) || !list_empty(&l->ending)) {
        l->awake = false;
        loop__turn_begin(l);
        turn__run_later(l);
        turn_settle(l);
    }
}

void loop__turn_end(struct loop *l)
{
    bool settled;

    loop__turn_begin(l);
    turn__run_later(l);
    settled = turn_settle(l);
    turn__stay_awake(l);
    arm_timer(l);
    if (l->until != NULL && *l->until)
        uv_stop(&l->uv); /* libuv then polls without waiting */
    l->awake = false;
    atomic_store_explicit(&l->asleep, true, memory_order_seq_cst);
    /* What was pushed before `asleep` was seen has nobody to wake us: see the head of loop_int.h.
     */
    if (!settled || !mpsc_empty(&l->tasks))
        loop_wake(l);
}

static void on_prepare(uv_prepare_t *h)
{
    loop__turn_end(h->data);
}

/* After the sockets' callbacks. */
static void on_check(uv_check_t *h)
{
    struct loop *l = h->data;

    loop__turn_begin(l);
    run_tasks(l);
    run_timers(l);
}

static void on_timer(uv_timer_t *h)
{
    struct loop *l = h->data;

    l->timer_armed_ns = INT64_MAX;
    loop__turn_begin(l);
    refresh_now(l);
    run_timers(l);
}

static void on_async(uv_async_t *h)
{
    struct loop *l = h->data;

    loop__turn_begin(l);
    if (atomic_load_explicit(&l->stopping, memory_order_acquire) || atomic_load(&l->back))
        uv_stop(&l->uv);
}

/* ---- life ---- */

static int loop_handles(struct loop *l, struct err *e)
{
    int rc = uv_loop_init(&l->uv);

    if (rc != 0)
        return err_sys(e, -rc, "start event loop");
    rc = uv_async_init(&l->uv, &l->async, on_async);
    if (rc != 0) {
        uv_loop_close(&l->uv);
        return err_sys(e, -rc, "start event loop");
    }
    uv_prepare_init(&l->uv, &l->prepare);
    uv_check_init(&l->uv, &l->check);
    uv_timer_init(&l->uv, &l->timer);
    uv_idle_init(&l->uv, &l->idle);
    l->async.data = l->prepare.data = l->check.data = l->timer.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
    return 0;
}

int loop_new(const char *name, struct loop **ret, struct err *e)
{
    struct loop *l = mem_calloc(1, sizeof *l);
    int rc = ERR_NOMEM;

    if (l == NULL)
        return err_set(e, ERR_NOMEM, "start event loop: out of memory");
    l->read_buf = mem_alloc(NET_READ_BYTES);
    l->out_buf = mem_alloc(LOOP_OUT_BYTES);
    if (l->read_buf != NULL && l->out_buf != NULL)
        rc = loop_handles(l, e);
    else
        err_set(e, ERR_NOMEM, "start event loop: out of memory");
    if (rc != 0) {
        mem_free(l->read_buf);
        mem_free(l->out_buf);
        mem_free(l);
        return rc;
    }
    snprintf(l->name, sizeof l->name, "%s", name);
    waker_init(&l->home);
    mpsc_init(&l->tasks);
    heap_init(&l->timers);
    l->clock = clock_posix();
    list_init(&l->carried);
    list_init(&l->owing);
    list_init(&l->ending);
    list_init(&l->works);
    l->timer_armed_ns = INT64_MAX;
    list_init(&l->hooks);
    list_init(&l->dirty);
    list_init(&l->shaking);
    list_init(&l->shake_waiting);
    loop_timer_init(&l->shake_timer, tls_queue__run);
    list_init(&l->calls_free);
    list_init(&l->rooms_free);
    pool_init(&l->pool);
    refresh_now(l);
    *ret = l;
    return 0;
}

bool loop__tls_buffers(struct loop *l)
{
    if (l->seal_buf != NULL)
        return true;
    if (l->plain_buf == NULL)
        l->plain_buf = mem_alloc(NET_READ_BYTES);
    if (l->stage_buf == NULL)
        l->stage_buf = mem_alloc(NET_RECORD_BYTES);
    if (l->plain_buf != NULL && l->stage_buf != NULL)
        l->seal_buf = mem_alloc(LOOP_SEAL_BYTES);
    return l->seal_buf != NULL;
}

void loop_free(struct loop *l)
{
    int rc;

    if (l == NULL)
        return;
    ASSERT(!atomic_load(&l->running));
    settle_all(l);
    ASSERT(list_empty(&l->dirty));
    ASSERT(list_empty(&l->owing));
    ASSERT(list_empty(&l->carried));
    ASSERT(list_empty(&l->ending));
    ASSERT(list_empty(&l->works));
    ASSERT(list_empty(&l->shake_waiting));
    loop_timer_stop(l, &l->shake_timer);
    tls_worker__free(l->tls_worker);
    ASSERT(heap_min(&l->timers) == NULL); /* invariant 15: its owner is freed, or will be */
    call__pool_drop(l);
    uv_close((uv_handle_t *) &l->async, NULL);
    uv_close((uv_handle_t *) &l->prepare, NULL);
    uv_close((uv_handle_t *) &l->check, NULL);
    uv_close((uv_handle_t *) &l->timer, NULL);
    uv_close((uv_handle_t *) &l->idle, NULL);
    for (struct loop_signal *s = l->signals; s != NULL; s = s->next)
        uv_close((uv_handle_t *) &s->uv, NULL);
    /* Also runs the close callbacks of connections that were just cut. */
    uv_run(&l->uv, UV_RUN_DEFAULT);
    rc = uv_loop_close(&l->uv);
    ASSERT(rc == 0); /* else a handle is still open: somebody forgot to close a connection */
    while (l->signals != NULL) {
        struct loop_signal *s = l->signals;

        l->signals = s->next;
        mem_free(s);
    }
    heap_done(&l->timers);
    pool_done(&l->pool);
    mem_free(l->read_buf);
    mem_free(l->out_buf);
    mem_free(l->plain_buf);
    mem_free(l->stage_buf);
    mem_free(l->seal_buf);
    mem_free(l);
}

static void run_begin(struct loop *l)
{
    ASSERT(!atomic_load(&l->running));
    l->runner = uv_thread_self();
    atomic_store_explicit(&l->running, true, memory_order_release);
    loop__turn_begin(l);
}

static void run_end(struct loop *l)
{
    turn_settle(l);
    atomic_store_explicit(&l->running, false, memory_order_release);
}

void loop_run(struct loop *l)
{
    run_begin(l);
    l->for_good = true;
    while (!atomic_load_explicit(&l->stopping, memory_order_acquire)) {
        uv_run(&l->uv, UV_RUN_DEFAULT);
        if (l->aside != NULL)
            loop__aside(l);
    }
    l->for_good = false;
    atomic_store_explicit(&l->stopping, false, memory_order_relaxed);
    run_end(l);
}

void loop_run_until(struct loop *l, const bool *flag)
{
    run_begin(l);
    l->until = flag;
    while (!*flag && !atomic_load_explicit(&l->stopping, memory_order_acquire))
        uv_run(&l->uv, UV_RUN_ONCE);
    l->until = NULL;
    atomic_store_explicit(&l->stopping, false, memory_order_relaxed);
    run_end(l);
}

static void run_on_thread(void *arg)
{
    loop_run(arg);
}

int loop_start(struct loop *l, struct err *e)
{
    ASSERT(l->thread == NULL);
    return thread_start(l->name, run_on_thread, l, &l->thread, e);
}

void loop_join(struct loop *l)
{
    thread_join(l->thread);
    l->thread = NULL;
}

void loop_stop(struct loop *l)
{
    atomic_store_explicit(&l->stopping, true, memory_order_release);
    uv_async_send(&l->async);
}

bool loop_is_mine(const struct loop *l)
{
    uv_thread_t self = uv_thread_self();

    return !atomic_load_explicit(&l->running, memory_order_acquire) ||
           uv_thread_equal(&self, &l->runner) != 0;
}

void loop_set_user(struct loop *l, void *user)
{
    l->user = user;
}

void *loop_user(const struct loop *l)
{
    return l->user;
}

mono_ns loop_now_ns(const struct loop *l)
{
    return l->now;
}
