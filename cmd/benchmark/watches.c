#include "benchmark/watches.h"

#include "base/alloc.h"

static void on_created(void *user)
{
    struct watched *w = user;
    struct watches *all = w->all;
    mono_ns now = clock_mono_ns(clock_posix());

    ASSERT(all->to_create > 0);
    report_add(all->created, w->asked_ns, now);
    progress_add(&all->progress, 1, now);
    if (--all->to_create == 0 && all->stop_when_created)
        ketch_stop(all->bench->conns[0]);
}

static void on_event(const struct ketch_watch_event *ev, void *user)
{
    struct watched *w = user;

    if (w->all->closing)
        return;
    if (ev->canceled)
        bench_die("a watch was canceled: %s", ev->error);
    w->all->on_event(w->all, w, ev);
}

static void watch_start(struct watches *all, size_t i)
{
    struct watched *w = &all->list[i];
    size_t stream = i % all->streams;
    struct ketch_watch_options o = {.stream = (unsigned) stream, .on_created = on_created};
    Etcdserverpb__WatchCreateRequest r = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;

    *w = (struct watched){
        .all = all, .key = all->keys[i % all->key_count], .asked_ns = clock_mono_ns(clock_posix())};
    w->key->watches++;
    r.key = w->key->key;
    r.start_revision = all->start_revision;
    r.prev_kv = all->prev_kv;
    if (ketch_watch(bench_conn(all->bench, stream), &r, &o, on_event, w) == NULL)
        bench_die("out of memory");
}

void watches_start(struct watches *all, struct report *created)
{
    size_t conns = all->bench->conn_count;

    if ((all->streams + conns - 1) / conns > STREAMS_WARNING)
        (void) !bench_fail("warning: grpc limits %d streams per client connection, have %zu but "
                           "need %zu",
                           STREAMS_WARNING, conns,
                           (all->streams + STREAMS_WARNING - 1) / STREAMS_WARNING);
    all->list = xmem_calloc(all->count, sizeof(*all->list));
    all->created = created;
    all->to_create = all->count;
    report_begin(created, clock_mono_ns(clock_posix()));
    progress_begin(&all->progress, (int64_t) all->count);
    for (size_t i = 0; i < all->count; i++)
        watch_start(all, i);
}

void watches_open(struct watches *all, struct report *created)
{
    all->stop_when_created = true;
    watches_start(all, created);
    ketch_run(all->bench->conns[0]);
    progress_end(&all->progress);
}

void watches_close(struct watches *all)
{
    all->closing = true;
}

void watches_done(struct watches *all)
{
    mem_free(all->list);
    all->list = NULL;
}
