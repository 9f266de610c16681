/* space.c -- a full disk: what is refused meanwhile.
 *
 * Whoever finds no room says so here, each with a bit of its own, and takes it back when there is
 * room again:
 *
 *   NODE_FULL_DATA   store   the data file lives on its reserve, or batches wait in memory
 *   NODE_FULL_LOG    work    the segment behind the present one could not be made
 *   NODE_LOG_ENDS    wal     and the present one is nearly used up
 *
 * While any is set, requests that add data get what a client knows as the space quota's error; they
 * are not proposed and no alarm is raised, for this is between one member and its disk, and it ends
 * by itself.  With NODE_LOG_ENDS nothing is proposed any more: what is left of the log is for what
 * consensus itself must store.  Reads need no log on a lone voter, and little elsewhere.
 */
#include "node/node_int.h"

void node__disk_full(struct node *n, unsigned bit, bool full)
{
    unsigned before = full ? atomic_fetch_or(&n->pub.disk_full, bit)
                           : atomic_fetch_and(&n->pub.disk_full, ~bit);
    unsigned after = full ? before | bit : before & ~bit;

    if (before == after)
        return;
    if (before == 0)
        LOG_WARN(n->env.log,
                 "no space left on device; refusing writes until there is room, reads, deletes and "
                 "compactions go on",
                 F_STR("path", bit == NODE_FULL_DATA ? n->db_path : n->wal_dir));
    if ((after & NODE_LOG_ENDS) > (before & NODE_LOG_ENDS))
        LOG_WARN(n->env.log, "the write-ahead log has no room for requests of any kind",
                 F_STR("path", n->wal_dir));
    if (after == 0)
        LOG_INFO(n->env.log, "there is room on the device again; taking writes");
}

bool node_disk_full(struct node *n)
{
    return atomic_load_explicit(&n->pub.disk_full, memory_order_relaxed) != 0;
}

void node__log_room(struct node *n)
{
    uint64_t segment = n->cfg.wal_segment_bytes == 0 ? WAL_SEGMENT_BYTES : n->cfg.wal_segment_bytes;
    bool full = (atomic_load(&n->pub.disk_full) & NODE_FULL_LOG) != 0;

    node__disk_full(n, NODE_LOG_ENDS,
                    full && wal_room_bytes(n->wal.wal) < MIN(NODE_LOG_LAST_BYTES, segment / 4));
}
