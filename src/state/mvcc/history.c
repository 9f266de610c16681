/* history.c -- one call for the history of many watchers: who goes by the index, who by a walk. */
#include "state/mvcc/history_int.h"
#include "state/mvcc/index.h"

#define DELETED_BYTES_MAX ((size_t) KEY_BYTES_MAX + 32)

static int64_t default_to(uint64_t given, uint64_t otherwise)
{
    return (int64_t) (given == 0 ? otherwise : given);
}

static struct history_limits limits_of(const struct history_limits *given)
{
    struct history_limits l = given == NULL ? (struct history_limits){0} : *given;

    l.revisions_max = (uint32_t) default_to(l.revisions_max, HISTORY_REVISIONS_MAX);
    l.bytes_max = (uint64_t) default_to(l.bytes_max, HISTORY_BYTES_MAX);
    l.records_max = (uint64_t) default_to(l.records_max, HISTORY_RECORDS_MAX);
    l.scan_bytes_max = (uint64_t) default_to(l.scan_bytes_max, HISTORY_SCAN_BYTES_MAX);
    return l;
}

static void begin(struct history_call *c, struct history_want *w)
{
    ASSERT(w->next_rev >= 1);
    w->events = NULL;
    w->events_n = w->revisions_n = 0;
    w->cap = 0;
    w->last_rev = 0;
    w->closed = false;
    w->span = watch_span_of(w->watcher->key, w->watcher->range_end, 0);
    if (w->next_rev > c->to)
        history__close(c, w, HISTORY_DONE, w->next_rev);
    else if (w->next_rev < mvcc_view_compact_revision(c->view))
        history__close(c, w, HISTORY_COMPACTED, w->next_rev);
}

static int64_t lowest(const struct history_call *c)
{
    int64_t from = INT64_MAX;

    for (size_t i = 0; i < c->n; i++)
        if (!c->wants[i].closed)
            from = MIN(from, c->wants[i].next_rev);
    return from;
}

/* A want goes by the index when that costs no more than its share of the scan that it would else
 * join: together they then cost no more than the scan.  And the index serves no more of them in one
 * call than what the limit of records stands for. */
static void by_index(struct history_call *c)
{
    uint64_t share, left = HISTORY_INDEX_RECORDS * HISTORY_RECORD_COST * c->limits.records_max;

    if (c->open_n == 0)
        return;
    share = HISTORY_RECORD_COST * (uint64_t) (c->to - lowest(c) + 1) / c->open_n;
    for (size_t i = 0; i < c->n && c->rc == 0 && c->bytes < c->limits.scan_bytes_max; i++)
        if (!c->wants[i].closed)
            left -= history__by_index(c, &c->wants[i], MIN(share, left));
}

static void take_back(struct history_call *c)
{
    for (size_t i = 0; i < c->n; i++) {
        payload_unref(c->wants[i].events);
        c->wants[i].events = NULL;
    }
}

int history_scan(const struct mvcc_view *v, struct history_want *wants, size_t n,
                 const struct history_limits *limits, struct err *e)
{
    struct history_call c = {
        .view = v,
        .to = mvcc_view_revision(v),
        .limits = limits_of(limits),
        .wants = wants,
        .n = n,
        .open_n = n,
        .bytes_most = UINT64_MAX, /* by the index they are served one after another */
    };

    buf_init(&c.deleted, DELETED_BYTES_MAX);
    for (size_t i = 0; i < n; i++)
        begin(&c, &wants[i]);
    by_index(&c);
    if (c.rc == 0 && c.open_n > 0)
        c.rc = history__walk(&c, lowest(&c));
    buf_done(&c.deleted);
    if (c.rc != 0) {
        take_back(&c);
        return err_set(e, c.rc, "read history");
    }
    ASSERT(c.open_n == 0);
    return 0;
}
