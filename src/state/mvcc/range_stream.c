/* range_stream.c -- RangeStream: a range in chunks, each of which is a range in steps.
 *
 *      begin --> the chunk: counts, measures, finds the key behind it --> ready
 *                  `--> (an order of NONE with a target) its keys are sorted --> ready
 *
 * What is behind a chunk is looked at as far as it must be to know whether there is anything: all
 * of it is counted for the last chunk alone, and only if a limit cuts it off. */
#include "state/mvcc/range_int.h"
#include "wire/pb.h"
#include "wire/wire.h"

#define STREAM_FIRST_CHUNK 10

void mvcc_range_stream_init(struct mvcc_range_stream *t, const struct mvcc_view *v,
                            const Etcdserverpb__RangeRequest *r, uint64_t max_request_bytes)
{
    *t = (struct mvcc_range_stream){.view = v,
                                    .request = r,
                                    .next = *r,
                                    .max_request_bytes = max_request_bytes,
                                    .chunk_limit = STREAM_FIRST_CHUNK};
    if (t->next.revision <= 0)
        t->next.revision = v->state.revision;
    t->next.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY; /* see sort_begin */
}

static void next_limit(struct mvcc_range_stream *t)
{
    ASSERT(t->chunk_limit > 0);
    if (t->sent == 0)
        return;
    if (t->last_chunk_bytes < t->max_request_bytes / 2)
        t->chunk_limit *= 2;
    else if (t->last_chunk_bytes / 2 > t->max_request_bytes)
        t->chunk_limit = MAX(t->chunk_limit / 2, (int64_t) 1);
}

static bool sorts(const struct mvcc_range_stream *t)
{
    return t->request->sort_target != ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY;
}

int mvcc_range_stream_begin(struct mvcc_range_stream *t, struct arena *a)
{
    int64_t left = t->request->limit > 0 ? t->request->limit - t->sent : INT64_MAX;
    int rc;

    ASSERT(!t->done);
    ASSERT(left > 0);
    next_limit(t);
    t->arena = a;
    t->sorted = NULL;
    t->next.limit = MIN(t->chunk_limit, left);
    rc = mvcc_range_begin(t->view, &t->next, a, NULL, &t->chunk);
    if (rc != 0)
        return rc;
    t->chunk->finds_behind = true;
    if (t->next.limit < left && !t->next.count_only)
        t->chunk->count_most = (uint64_t) t->next.limit + 1;
    return 0;
}

void mvcc_range_stream_ahead(const struct mvcc_range_stream *t, struct mvcc_range_ahead *ret)
{
    mvcc_range_ahead(t->chunk, ret);
    if (sorts(t) && ret->keys > 0)
        range_list_ahead(t->request, MIN(ret->keys, (uint64_t) t->next.limit), ret);
}

/* An order of NONE with a target sorts every chunk by itself, as in etcd.  The keys of the chunk
 * are chosen before: where etcd sorts first and then cuts to the limit, it loses keys. */
static int sort_begin(struct mvcc_range_stream *t)
{
    const struct mvcc_range *g = t->chunk;

    t->sort = t->next;
    t->sort.sort_target = t->request->sort_target;
    t->sort.limit = 0;
    if (g->info.more)
        t->sort.range_end = wire_binary(entry_key(g->behind));
    return mvcc_range_begin(t->view, &t->sort, t->arena, NULL, &t->sorted);
}

int mvcc_range_stream_step(struct mvcc_range_stream *t, uint64_t units, bool *ret_ready)
{
    struct mvcc_range *g = t->sorted != NULL ? t->sorted : t->chunk;
    bool ready = false;
    int rc = mvcc_range_step(g, units, &ready);

    *ret_ready = rc == 0 && ready;
    if (!*ret_ready || g == t->sorted || !sorts(t) || g->info.kvs_n == 0)
        return rc;
    *ret_ready = false;
    return sort_begin(t);
}

/* The next chunk begins at the first key that this one leaves out, which the view keeps in place.
 */
struct mvcc_range *mvcc_range_stream_chunk(struct mvcc_range_stream *t, bool *ret_last)
{
    struct mvcc_range *g = t->chunk;

    if (t->sorted != NULL) {
        ASSERT(t->sorted->info.kvs_n == g->info.kvs_n);
        t->sorted->info.count = g->info.count;
        t->sorted->info.more = g->info.more;
        g = t->sorted;
    }
    if (g->info.more)
        t->next.key = wire_binary(entry_key(t->chunk->behind));
    g->info.count += t->sent; /* those of this chunk and behind it, and those sent before */
    t->sent += (int64_t) g->info.kvs_n;
    t->last_chunk_bytes = g->info.kvs_bytes;
    t->done = !g->info.more || t->sent == t->request->limit;
    *ret_last = t->done;
    return g;
}
