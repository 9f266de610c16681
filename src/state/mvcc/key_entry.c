/* key_entry.c -- the revisions of one key: which is in force when, and which a compaction keeps.
 *
 * etcd cuts the revisions of a key into generations, each ended by a tombstone.  Here they are one
 * ascending list in which tombstones are marked; the questions below have the same answers.
 */
#include "state/mvcc/index.h"

uint32_t entry_revisions_upto(const struct key_entry *e, int64_t main)
{
    uint32_t lo = 0, hi = e->history_n;

    ASSERT(e->history_n == 0 || entry_history(e) != NULL);
    if (e->mod_main <= main)
        return e->history_n + 1;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (entry_revision(e, mid).main <= main)
            lo = mid + 1;
        else
            hi = mid;
    }
    ASSERT(lo <= e->history_n);
    return lo;
}

bool entry_at(const struct key_entry *e, int64_t main, struct key_revision *ret)
{
    uint32_t n = entry_revisions_upto(e, main);

    if (n == 0)
        return false;
    *ret = entry_revision(e, n - 1);
    ASSERT(ret->main <= main);
    return !key_revision_is_tombstone(*ret);
}

/* The newest revision at or before `main` stays, with all later ones; a tombstone stays only when
 * it lies exactly at `main`, so that a watch begun there gets its delete event (etcd issues 18089
 * and 19179). */
uint32_t entry_compact_from(const struct key_entry *e, int64_t main)
{
    uint32_t n = entry_revisions_upto(e, main);
    struct key_revision r;

    if (n == 0)
        return 0;
    r = entry_revision(e, n - 1);
    ASSERT(n <= e->history_n + 1);
    ASSERT(r.main <= main);
    return key_revision_is_tombstone(r) && r.main < main ? n : n - 1;
}

/* A tombstone that ends its generation at or before `main` takes its key out of the hash.  When a
 * key was deleted and put again in the transaction `main` itself, etcd still looks at the
 * generation that the deletion ended: it does not keep the key either. */
bool entry_hash_keep(const struct key_entry *e, int64_t main, struct revision *ret)
{
    uint32_t n = entry_revisions_upto(e, main);
    struct key_revision last;

    if (n == 0)
        return false;
    last = entry_revision(e, n - 1);
    for (uint32_t i = n; i > 0; i--) {
        struct key_revision r = entry_revision(e, i - 1);

        if (i < n && r.main < main)
            break;
        if (key_revision_is_tombstone(r))
            return false;
    }
    ASSERT(!key_revision_is_tombstone(last));
    *ret = (struct revision){last.main, key_revision_sub(last)};
    return true;
}
