#include "edge/peer/snapshot_pace.h"

#include "edge/peer/peer_limits.h"

#define NS_PER_S INT64_C(1000000000)
/* Between two pieces at the least rate. */
#define INTERVAL_NS_MAX \
    ((mono_ns) NODE_SNAPSHOT_PIECE_BYTES * NS_PER_S / PEER_SNAPSHOT_BESIDE_BYTES_MIN_PER_S)

void snapshot_pace_init(struct snapshot_pace *p, raft_index applied, mono_ns now)
{
    *p = (struct snapshot_pace){
        .applied = applied, .moved = now - PEER_SNAPSHOT_BESIDE_NS, .asked = now, .due = now};
}

bool snapshot_pace_is_beside(struct snapshot_pace *p, raft_index applied, mono_ns now)
{
    if (p->applied != applied) {
        p->applied = applied;
        p->moved = now;
    }
    return now - p->moved < PEER_SNAPSHOT_BESIDE_NS;
}

void snapshot_pace_asked(struct snapshot_pace *p, mono_ns now)
{
    ASSERT(now >= p->asked);
    p->asked = now;
}

/* Timers are late as a rule; what was lost by that is made up for, one interval of it at most. */
void snapshot_pace_came(struct snapshot_pace *p, mono_ns now)
{
    mono_ns took = now - p->asked, interval;

    ASSERT(took >= 0);
    interval = MIN(took * PEER_SNAPSHOT_REST_TIMES, INTERVAL_NS_MAX);
    p->due = MAX(p->due, p->asked - interval) + interval;
}
