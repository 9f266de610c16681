/* room.c -- nothing is written before the disk has given room for it.
 *
 * A segment has room to its nominal end from the moment it is made.  The batch that crosses that
 * end needs a little more: it is asked for before anything is encoded, where a refusal changes
 * nothing, and when it is refused a segment that is ready already is begun early.
 */
#include "engine/wal/wal.h"
#include "engine/wal/wal_int.h"

/* More than the frames around one record take. */
#define RECORD_OVERHEAD_BYTES 96
#define ROOM_BLOCK_BYTES 4096
#define VARINT_BYTES_MAX 11 /* with its tag */

static uint64_t conf_state_bytes(const struct raft_conf_state *c)
{
    return (c->voters.n + c->learners.n + c->voters_outgoing.n + c->learners_next.n + 1) *
           (uint64_t) VARINT_BYTES_MAX;
}

/* At least what the batch will take, whole blocks. */
static uint64_t batch_bytes(const struct wal_save *saves, size_t n)
{
    uint64_t bytes = 2 * RECORD_OVERHEAD_BYTES;

    for (size_t i = 0; i < n; i++) {
        if (saves[i].snapshot != NULL)
            bytes += RECORD_OVERHEAD_BYTES + conf_state_bytes(&saves[i].snapshot->conf_state);
        for (size_t k = 0; k < saves[i].entries_n; k++)
            bytes += RECORD_OVERHEAD_BYTES + saves[i].entries[k].data.n;
    }
    return (bytes / ROOM_BLOCK_BYTES + 2) * ROOM_BLOCK_BYTES;
}

uint64_t wal_room_bytes(const struct wal *w)
{
    return w->room_end - MIN(w->enc.off, w->room_end);
}

static int extend(struct wal *w, uint64_t end, struct err *e)
{
    int rc = file_allocate(wal__tail(w)->file, w->room_end, end - w->room_end, e);

    ASSERT(end > w->room_end);
    if (rc == 0)
        w->room_end = end;
    if (rc == ERR_UNSUPPORTED) {
        w->room_end = UINT64_MAX; /* nobody knows */
        rc = 0;
    }
    return rc;
}

int wal__make_room(struct wal *w, const struct wal_save *saves, size_t n, struct err *e)
{
    uint64_t end = w->enc.off + batch_bytes(saves, n);
    int rc;

    if (end <= w->room_end)
        return 0;
    rc = extend(w, end, e);
    if (rc != ERR_NO_SPACE || atomic_load(&w->prepared) != WAL__PREPARED)
        return rc;
    rc = wal__cut(w, e);
    if (rc != 0)
        return rc;
    end = w->enc.off + batch_bytes(saves, n);
    return end <= w->room_end ? 0 : extend(w, end, e);
}
