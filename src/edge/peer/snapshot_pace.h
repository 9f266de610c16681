/* snapshot_pace.h -- how fast a snapshot leaves: as fast as it goes while nothing is written, and
 * with rests while something is, for its receiver can wait and whoever writes is waiting.
 *
 * What a sender of gigabytes costs others is not its own processor time, which is little, but
 * that syncs of the log meet a disk and a processor which are busy just then.  So a piece is
 * followed by a rest that is many times as long as it took to be read: long on a machine that is
 * busy, short on one that is not; never so long that less than PEER_SNAPSHOT_BESIDE_BYTES_MIN_PER_S
 * leave.
 *
 * Pure: the caller says what time it is.
 */
#ifndef KETCH_EDGE_PEER_SNAPSHOT_PACE_H
#define KETCH_EDGE_PEER_SNAPSHOT_PACE_H

#include "node/node.h"

struct snapshot_pace {
    raft_index applied; /* as it was seen last */
    mono_ns moved;      /* when it was seen to have changed */
    mono_ns asked;      /* for the newest piece */
    mono_ns due;        /* the next one, while others write */
};

void snapshot_pace_init(struct snapshot_pace *p, raft_index applied, mono_ns now);

/* Whether others write: what is applied here has changed lately. */
bool snapshot_pace_is_beside(struct snapshot_pace *p, raft_index applied, mono_ns now);

/* A piece has been asked for, and has come: `now` is the same or later. */
void snapshot_pace_asked(struct snapshot_pace *p, mono_ns now);
void snapshot_pace_came(struct snapshot_pace *p, mono_ns now);

#endif
