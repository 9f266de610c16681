/* snapshot_copy.h -- a snapshot with everything it points to, in one allocation. */
#ifndef KETCH_ENGINE_RAFT_SNAPSHOT_COPY_H
#define KETCH_ENGINE_RAFT_SNAPSHOT_COPY_H

#include "wire/raftpb.h"

/* Returns owned; free with mem_free. */
NODISCARD struct raft_snapshot *raft__snapshot_copy(const struct raft_snapshot *s);

#endif
