/* Requests to the node and back: one batch per wake-up. */
#include "edge/server/otel.h"
#include "edge/server/permit.h"

#define IO_DRAIN_MS 2

/* From how many calls on, each of which came alone and from the same connection, the thread runs
 * the node itself; how many a disk that was slow costs, and what is slow. */
#define IO_LONE_CALLS 32
#define IO_LONE_CALLS_MAX 64
#define IO_LONE_SLOW_CALLS 16
#define IO_LONE_SLOW_NS INT64_C(4000000)

/* Puts a list (oldest first, linked by `next`) on top of what waits, newest first. */
static void wake(struct io *io)
{
    if (!atomic_exchange(&io->posted, true))
        loop_post(io->loop, &io->task);
}

static void deliver(struct node_sink *sink, struct node_request *first)
{
    struct io *io = CONTAINER_OF(sink, struct io, sink);
    struct node_request *newest = NULL, *oldest = first, *top;

    while (first != NULL) {
        struct node_request *next = first->next;

        first->next = newest;
        newest = first;
        first = next;
    }
    if (newest == NULL)
        return;
    top = atomic_load(&io->finished);
    do
        oldest->next = top;
    while (!atomic_compare_exchange_weak(&io->finished, &top, newest));
    wake(io);
}

static void deliver_watch(struct watch_sink *sink, struct watch_batch *first)
{
    struct watch_inbox *in = CONTAINER_OF(sink, struct watch_inbox, sink);
    struct watch_batch *newest = NULL, *oldest = first, *top;

    while (first != NULL) {
        struct watch_batch *next = first->next;

        first->next = newest;
        newest = first;
        first = next;
    }
    if (newest == NULL)
        return;
    top = atomic_load(&in->batches);
    do
        oldest->next = top;
    while (!atomic_compare_exchange_weak(&in->batches, &top, newest));
    wake(in->io);
}

static struct node_request *take_finished(struct io *io)
{
    struct node_request *n = atomic_exchange(&io->finished, NULL), *out = NULL;

    while (n != NULL) {
        struct node_request *next = n->next;

        n->next = out;
        out = n;
        n = next;
    }
    return out;
}

static struct watch_batch *take_batches(struct watch_inbox *in)
{
    struct watch_batch *b = atomic_exchange(&in->batches, NULL), *out = NULL;

    while (b != NULL) {
        struct watch_batch *next = b->next;

        b->next = out;
        out = b;
        b = next;
    }
    return out;
}

static void req_done(struct req *r)
{
    if (r->node.kind == NODE_REQ_PROPOSE && r->call != NULL)
        otel_returned(r->call, &r->node.result);
    r->then(r);
}

/* The loop's side: everything that the node's threads have sent since the last time. */
static void run(struct loop_task *t)
{
    struct io *io = CONTAINER_OF(t, struct io, task);
    struct node_request *n;
    struct watch_batch *watches, *follows;

    /* Cleared before taking: what comes later posts the task again. */
    atomic_store(&io->posted, false);
    n = take_finished(io);
    watches = take_batches(&io->watches);
    follows = take_batches(&io->follows);
    while (n != NULL) {
        struct req *r = CONTAINER_OF(n, struct req, node);

        n = n->next;
        ASSERT(io->outstanding > 0);
        io->outstanding--;
        req_done(r);
    }
    if (watches != NULL)
        watch_io_batches(io, watches);
    if (follows != NULL)
        follow_io_batches(follows);
}

/* ---- the end of the thread: I3 ---- */

static void drain_step(struct io *io)
{
    if (io->outstanding == 0 && !atomic_load(&io->posted))
        loop_stop(io->loop);
    else if (loop_timer_start(io->loop, &io->drain_timer, IO_DRAIN_MS) != 0)
        loop_post(io->loop, &io->drain_task); /* no memory for a timer: turn by turn */
}

static void drain(struct loop_task *t)
{
    drain_step(CONTAINER_OF(t, struct io, drain_task));
}

static void drain_again(struct loop_timer *t)
{
    drain_step(CONTAINER_OF(t, struct io, drain_timer));
}

static void inbox_init(struct watch_inbox *in, struct io *io)
{
    in->io = io;
    atomic_init(&in->batches, NULL);
    watch_sink_init(&in->sink, deliver_watch);
}

/* ---- to the node ---- */

/* A client that makes one call after the other is alone with us: while its call waits for the disk
 * there is nothing else to do, and to wake another thread for it, and be woken, costs more than all
 * the rest.  Any other connection that says something, and any second call, ends that. */
static bool is_lone(struct io *io)
{
    uint64_t reader = loop_other_readers(io->loop);
    bool lone = io->gathered->next == NULL && io->outstanding == 1 &&
                io->gathered->kind == NODE_REQ_PROPOSE && reader == io->lone_reader;

    io->lone_reader = reader;
    io->lone = lone ? MIN(io->lone + 1, IO_LONE_CALLS_MAX) : 0;
    if (atomic_exchange(&io->lone_took, 0) > IO_LONE_SLOW_NS)
        io->lone -= IO_LONE_SLOW_CALLS;
    return io->lone >= IO_LONE_CALLS && loop_may_step_aside(io->loop);
}

/* Away from the loop, where somebody may stand in: nothing of the thread's is touched. */
static void run_core(void *arg)
{
    struct io *io = arg;
    const struct server_core *core = &io->server->o.core;
    struct clock *clock = io->server->o.clock;
    mono_ns began = clock_mono_ns(clock);

    core->run(core->ctx);
    atomic_store(&io->lone_took, clock_mono_ns(clock) - began);
}

/* The requests of a turn reach the node together, so that they share a sync: the first of them
 * would start one, and the others would wait for the next. */
static void submit_gathered(struct loop_hook *h)
{
    struct io *io = CONTAINER_OF(h, struct io, submit_hook);
    const struct server_core *core = &io->server->o.core;
    struct node_request *n = io->gathered;

    if (core->borrow != NULL && is_lone(io) && core->borrow(core->ctx))
        loop_step_aside(io->loop, run_core, io);
    io->gathered = NULL;
    io->gathered_end = &io->gathered;
    while (n != NULL) {
        struct node_request *next = n->next;

        node_submit(io->server->node, n);
        n = next;
    }
}

void server_stand_in(struct server *s)
{
    for (size_t i = 0; i < s->ios_n; i++)
        loop_stand_in(s->ios[i].loop);
}

int io_init(struct io *io, struct server *s, unsigned id, struct err *e)
{
    char name[16];
    int rc;

    *io = (struct io){.server = s, .id = id, .task = {.run = run}, .sink = {.deliver = deliver}};
    snprintf(name, sizeof name, "io-%u", id);
    rc = loop_new(name, &io->loop, e);
    if (rc != 0)
        return rc;
    loop_set_user(io->loop, io);
    atomic_init(&io->finished, NULL);
    atomic_init(&io->posted, false);
    inbox_init(&io->watches, io);
    inbox_init(&io->follows, io);
    list_init(&io->guarded);
    lists_init(&io->lists);
    long_reads_init(&io->long_reads);
    loop_timer_init(&io->leader_timer, leader_timer_fire);
    io->gathered_end = &io->gathered;
    loop_hook_init(&io->submit_hook, submit_gathered);
    io->drain_task.run = drain;
    loop_timer_init(&io->drain_timer, drain_again);
    return watch_io_init(io, e);
}

int io_attach(struct io *io, struct node *n, struct err *e)
{
    node_sink_add(n, &io->sink);
    io->reader = mvcc_reader_new(node_mvcc(n));
    if (io->reader == NULL)
        return err_set(e, ERR_LIMIT, "more than %d readers of the store", MVCC_READERS_MAX);
    io->auth = auth_reader_new(node_auth(n));
    if (io->auth == NULL)
        return err_set(e, ERR_LIMIT, "more than %d readers of users and roles", AUTH_READERS_MAX);
    return 0;
}

void io_done(struct io *io)
{
    if (io->loop == NULL)
        return;
    ASSERT(io->outstanding == 0);
    ASSERT(list_empty(&io->guarded));
    ASSERT(long_reads_none(&io->long_reads));
    ASSERT(io->gathered == NULL);
    loop_timer_stop(io->loop, &io->leader_timer);
    loop_timer_stop(io->loop, &io->drain_timer);
    watch_io_done(io);
    if (io->reader != NULL)
        mvcc_reader_free(io->reader);
    auth_reader_free(io->auth);
    loop_free(io->loop);
}

struct req *req_new(struct call *c, enum node_request_kind kind, void (*then)(struct req *r))
{
    struct req *r = arena_calloc(call_arena(c), 1, sizeof *r);
    struct io *io = call_io(c);

    if (r == NULL) {
        reply_no_memory(c);
        return NULL;
    }
    r->node.kind = kind;
    r->node.sink = &io->sink;
    r->node.arena = call_arena(c);
    r->io = io;
    r->call = c;
    r->then = then;
    r->began = loop_now_ns(io->loop);
    return r;
}

void req_submit(struct req *r)
{
    struct io *io = r->io;

    if (UNLIKELY(!permit_request(r))) {
        req_done(r);
        return;
    }
    if (r->node.kind == NODE_REQ_PROPOSE && r->call != NULL)
        otel_proposed(r->call);
    io->outstanding++;
    r->node.next = NULL;
    *io->gathered_end = &r->node;
    io->gathered_end = &r->node.next;
    loop_hook_arm(io->loop, &io->submit_hook);
}

void req_propose(struct call *c, uint32_t op, struct bytes body, void (*then)(struct req *r))
{
    struct req *r = req_new(c, NODE_REQ_PROPOSE, then);

    if (r == NULL)
        return;
    r->node.op = op;
    r->node.body = body;
    req_submit(r);
}
