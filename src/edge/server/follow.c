#include "edge/server/follow.h"
#include "wire/pb.h"

enum { EVENT_TYPE = 1, EVENT_KV = 2 }; /* mvccpb.Event */

/* ---- the end ---- */

static void submit(struct follow *f, enum node_request_kind kind, void (*then)(struct req *r))
{
    ASSERT(!f->busy);
    f->busy = true;
    f->request = (struct req){.node = {.kind = kind,
                                       .sink = &f->io->sink,
                                       .watcher = &f->watcher,
                                       .stream = &f->hub,
                                       .watchers_n = 1},
                              .io = f->io,
                              .then = then};
    req_submit(&f->request);
}

static void settle(struct follow *f);

static void close_returned(struct req *r)
{
    struct follow *f = CONTAINER_OF(r, struct follow, request);

    f->busy = false;
    settle(f);
}

static void settle(struct follow *f)
{
    if (!f->stopping || f->busy)
        return;
    if (f->joined && !f->close_sent) {
        f->close_sent = true;
        submit(f, NODE_REQ_WATCH_STREAM_CLOSE, close_returned);
    } else if (f->closed || !f->joined) {
        f->io->outstanding--;
        f->hooks->stopped(f);
    }
}

/* With nothing under way the caller's memory would be given back from within its own call. */
void follow_stop(struct follow *f)
{
    if (f->stopping)
        return;
    f->stopping = true;
    if (!f->busy) {
        f->busy = true;
        loop_post(f->io->loop, &f->task);
    }
}

static void lost(struct follow *f)
{
    if (!f->stopping)
        f->hooks->lost(f);
}

/* ---- events ---- */

static void tell(struct follow *f, struct bytes field, int64_t revision)
{
    struct follow_event ev = {.revision = revision};
    struct pb_reader r = pb_reader_of(field), in;
    struct pb_field x;

    if (!pb_next(&r, &x))
        UNREACHABLE(); /* we made it ourselves */
    in = pb_reader_of(x.bytes);
    while (pb_next(&in, &x)) {
        if (x.number == EVENT_TYPE)
            ev.is_delete = x.value != 0;
        else if (x.number == EVENT_KV)
            ev.kv = x.bytes;
    }
    f->hooks->event(f, &ev);
}

static void tell_all(struct follow *f, const struct payload *events, int64_t revision)
{
    struct bytes rest = bytes_of(events->data, events->bytes), one;

    while (!f->stopping && watch_events_next(&rest, &one))
        tell(f, one, revision);
}

/* ---- joining, and what was missed ---- */

static void post(struct follow *f)
{
    f->busy = true;
    loop_post(f->io->loop, &f->task);
}

static void join_returned(struct req *r)
{
    struct follow *f = CONTAINER_OF(r, struct follow, request);
    bool heard = r->node.result.err == API_OK;

    f->busy = false;
    f->joined = f->joined || heard;
    if (!heard)
        lost(f); /* the node stops */
    else if (f->behind && !f->stopping)
        post(f);
    settle(f);
}

static void join(struct follow *f)
{
    f->behind = false;
    submit(f, NODE_REQ_WATCH_JOIN, join_returned);
}

static void read_missed(struct follow *f)
{
    const struct mvcc_view *v = mvcc_view_pin(f->io->reader);
    struct history_want want = {.watcher = &f->watcher, .next_rev = f->watcher.next_rev};
    struct err e = ERR_INIT;
    int rc = history_scan(v, &want, 1, NULL, &e);

    if (rc != 0 && rc != ERR_NOMEM)
        LOG_FATAL(f->io->server->log, "failed to read history for watchers", F_ERR(&e));
    if (rc == 0) {
        f->watcher.next_rev = want.next_rev;
        if (want.events != NULL)
            tell_all(f, want.events, mvcc_view_revision(v));
        payload_unref(want.events);
    }
    mvcc_view_unpin(v);
    if (rc == ERR_NOMEM || want.end == HISTORY_COMPACTED)
        lost(f);
    else if (f->stopping)
        return;
    else if (want.end == HISTORY_MORE)
        post(f);
    else
        join(f);
}

static void step(struct loop_task *t)
{
    struct follow *f = CONTAINER_OF(t, struct follow, task);

    f->busy = false;
    if (!f->stopping)
        read_missed(f);
    settle(f);
}

/* ---- what the hub says ---- */

static void handle(struct follow *f, const struct watch_note *note)
{
    if (note->kind == WATCH_CLOSED)
        f->closed = true;
    if (f->stopping)
        return;
    switch ((enum watch_note_kind) note->kind) {
    case WATCH_EVENTS:
        tell_all(f, note->events, note->revision);
        break;
    case WATCH_BEHIND:
        f->behind = true;
        if (!f->busy)
            post(f); /* else when the join has come back */
        break;
    case WATCH_COMPACTED:
        lost(f);
        break;
    default:
        break;
    }
}

void follow_io_batches(struct watch_batch *first)
{
    while (first != NULL) {
        struct watch_batch *b = first;
        struct follow *f = CONTAINER_OF(b->stream, struct follow, hub);

        first = b->next;
        for (uint32_t i = 0; i < b->n; i++)
            handle(f, &b->notes[i]);
        watch_batch_free(b);
        settle(f);
    }
}

void follow_start(struct follow *f, struct io *io, struct bytes key, struct bytes range_end,
                  unsigned filters, int64_t from, const struct follow_hooks *hooks)
{
    struct watch_options o = {
        .key = key, .range_end = range_end, .filters = filters, .start_rev = from};

    ASSERT(from > 0);
    *f = (struct follow){.io = io, .hooks = hooks, .task = {.run = step}};
    watch_stream_init(&f->hub, &io->follows.sink);
    if (!watcher_init(&f->watcher, &f->hub, &o))
        UNREACHABLE(); /* a key, or what begins with a prefix: never empty */
    io->outstanding++; /* until `stopped`: the loop may not stop before */
    join(f);
}
