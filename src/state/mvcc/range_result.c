/* range_result.c -- handing out the KeyValues of a range, one after another. */
#include "state/mvcc/range_int.h"
#include "wire/pb.h"
#include "wire/wire.h"

const struct mvcc_range_info *mvcc_range_info(const struct mvcc_range *g)
{
    return &g->info;
}

void mvcc_range_rewind(struct mvcc_range *g)
{
    ASSERT(g->given <= g->info.kvs_n);
    g->given = 0;
    if (g->source == RANGE_WALK)
        range_walk_begin(g);
}

struct bytes range_ref_record(const struct mvcc_range *g, const struct range_ref *ref)
{
    int64_t sub = key_revision_sub(ref->rev);
    struct bytes kv;

    ASSERT(!key_revision_is_tombstone(ref->rev));
    if (g->source == RANGE_REFS && g->list->sort.by_value) /* was found to be sorted */
        return bytes_of(ref->record, ref->rev.value_bytes);
    if (g->records == NULL)
        return state_value(&g->state, ref->rev.main, sub);
    if (NEVER(!store_cursor_get(g->records, ref->rev.main, sub, &kv)))
        assert_fail(__FILE__, __LINE__, "the store lacks a revision that the index has");
    return kv;
}

/* The index knows creation and version of the newest life only; older ones are in their records. */
void range_ref_fields(const struct mvcc_range *g, const struct range_ref *ref,
                      struct kv_fields *ret)
{
    const struct key_entry *e = ref->entry;

    if (range_ref_is_newest(ref)) {
        *ret = (struct kv_fields){.key = entry_key(e),
                                  .create_main = entry_create_main(e),
                                  .mod_main = e->mod_main,
                                  .version = entry_version(e)};
        return;
    }
    kv_decode_stored(range_ref_record(g, ref), ret);
    ASSERT(ret->mod_main == ref->rev.main);
    ret->value = BYTES_EMPTY;
    ret->lease = 0;
}

static void stripped_fields(const struct mvcc_range *g, const struct range_ref *ref,
                            struct kv_fields *ret)
{
    if (g->form == RANGE_KEYS) {
        range_ref_fields(g, ref, ret);
        return;
    }
    kv_decode_stored(range_ref_record(g, ref), ret);
    ret->value = BYTES_EMPTY;
}

size_t range_ref_bytes(const struct mvcc_range *g, const struct range_ref *ref)
{
    struct kv_fields f;

    if (g->form == RANGE_RECORDS)
        return ref->rev.value_bytes;
    stripped_fields(g, ref, &f);
    return kv_encoded_bytes(&f);
}

struct bytes range_ref_kv(struct mvcc_range *g, const struct range_ref *ref)
{
    struct kv_fields f;
    struct bytes kv;

    if (g->form == RANGE_RECORDS) {
        kv = range_ref_record(g, ref);
        ASSERT(kv.n == ref->rev.value_bytes);
        return kv;
    }
    stripped_fields(g, ref, &f);
    ASSERT(g->made != NULL);
    return bytes_of(g->made, (size_t) (kv_encode(&f, g->made) - g->made));
}

/* mvcc_range_next over the index: the place moves on, the key at it is given. */
static const struct key_entry *walk_to_next(struct mvcc_range *g, struct key_revision *ret)
{
    for (;;) {
        const struct key_entry *e = index_cursor_entry(&g->cursor);

        ASSERT(e != NULL); /* the walk was measured: kvs_n keys are there */
        index_cursor_next(&g->cursor);
        if (entry_at(e, g->at_revision, ret))
            return e;
    }
}

bool mvcc_range_next(struct mvcc_range *g, struct bytes *ret_kv)
{
    struct range_ref ref;

    if (g->given == g->info.kvs_n)
        return false;
    switch (g->source) {
    case RANGE_ONE:
        *ret_kv = range_ref_kv(g, g->one);
        break;
    case RANGE_REFS:
        *ret_kv = range_ref_kv(g, range_list_at(g, g->given));
        break;
    case RANGE_WALK:
        memset(&ref, 0, sizeof ref);
        ref.entry = walk_to_next(g, &ref.rev);
        *ret_kv = range_ref_kv(g, &ref);
        break;
    case RANGE_COPIES:
        *ret_kv = g->copies.v[g->given];
        break;
    case RANGE_NONE:
        return false;
    }
    g->given++;
    return true;
}

/* ---- ranges of the apply thread: copied, for the state goes on changing ---- */

/* Takes the KeyValues of `from` into the answer. */
static void copy_kvs(struct mvcc_range *from, struct answer *an, struct mvcc_range *to)
{
    struct bytes kv;
    size_t n = 0;

    if (from->info.kvs_n == 0)
        return;
    to->copies.v = answer_alloc(an, from->info.kvs_n, sizeof kv);
    while (!an->too_large && mvcc_range_next(from, &kv))
        to->copies.v[n++] = answer_copy(an, kv);
    ASSERT(an->too_large || n == from->info.kvs_n);
    to->copies.n = n;
    to->source = RANGE_COPIES;
}

int mvcc__apply_range(struct mvcc *kv, const Etcdserverpb__RangeRequest *r, struct answer *an,
                      struct mvcc_range **ret)
{
    struct store_view sv;
    struct kv_state st = mvcc__now(kv, &sv);
    struct mvcc_range *g, *work;
    int rc;

    *ret = NULL;
    g = answer_alloc(an, 1, sizeof *g);
    work = answer_alloc(an, 1, sizeof *work);
    if (work == NULL)
        return 0;
    rc = range_run(&st, r, an->arena, kv->trace, work);
    if (rc == ERR_NOMEM) {
        an->too_large = true;
        return 0;
    }
    if (rc != 0)
        return rc;
    g->info = work->info;
    copy_kvs(work, an, g);
    trace_step(kv->trace, TRACE_RECORDS);
    *ret = g;
    return 0;
}

int mvcc_range_applied(struct mvcc *kv, const Etcdserverpb__RangeRequest *r, struct arena *a,
                       struct mvcc_range **ret)
{
    struct answer an = {.arena = a};
    int rc = mvcc__apply_range(kv, r, &an, ret);

    return rc == 0 && an.too_large ? ERR_NOMEM : rc;
}
