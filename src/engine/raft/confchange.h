/* confchange.h -- from one configuration to the next.
 *
 *               simple (one voter at most)
 *                  +----+
 *                  v    |
 *               +----------+   enter joint: outgoing = voters, changes to incoming   +-------+
 *               |  plain   | ------------------------------------------------------> | joint |
 *               +----------+ <------------------------------------------------------ +-------+
 *                   leave joint: learners_next become learners, outgoing-only members go
 *
 * All or nothing: a change that does not fit leaves the tracker as it was and says why, in etcd's
 * words.
 */
#ifndef KETCH_ENGINE_RAFT_CONFCHANGE_H
#define KETCH_ENGINE_RAFT_CONFCHANGE_H

#include "engine/raft/tracker.h"

/* `last` is the last index of the log: where the search begins for a new member.
 * 0 or ERR_RAFT_CONF_CHANGE. */
NODISCARD int raft__conf_simple(struct raft_tracker *t, raft_index last,
                                const struct raft_conf_change_single *v, size_t n, struct err *e);
NODISCARD int raft__conf_enter_joint(struct raft_tracker *t, raft_index last, bool auto_leave,
                                     const struct raft_conf_change_single *v, size_t n,
                                     struct err *e);
NODISCARD int raft__conf_leave_joint(struct raft_tracker *t, struct err *e);

/* Whether `c` could come into force now: the errors of raft__conf_apply, and nothing changes. */
NODISCARD int raft__conf_fits(const struct raft_tracker *t, const struct raft_conf_change_v2 *c,
                              struct err *e);

/* The kind that `c` asks for. */
NODISCARD int raft__conf_apply(struct raft_tracker *t, raft_index last,
                               const struct raft_conf_change_v2 *c, struct err *e);

/* Into an empty tracker, the configuration of a snapshot; everyone's progress begins at `last`. */
NODISCARD int raft__conf_restore(struct raft_tracker *t, raft_index last,
                                 const struct raft_conf_state *cs, struct err *e);

/* The change that an entry holds, of either kind: it points into *ret_single, the arena and the
 * entry.  The decoder's errors. */
NODISCARD int raft__conf_change_of(const struct raft_entry *e, struct arena *a,
                                   struct raft_conf_change_single *ret_single,
                                   struct raft_conf_change_v2 *ret);

/* The same members, in whatever order they are listed. */
bool raft__conf_state_equal(const struct raft_conf_state *a, const struct raft_conf_state *b);

#endif
