/* cluster_int.h -- what the files of this folder share.  Invariants are in README.md. */
#ifndef KETCH_STATE_CLUSTER_CLUSTER_INT_H
#define KETCH_STATE_CLUSTER_CLUSTER_INT_H

#include <stdatomic.h>

#include "state/cluster/cluster.h"

#define CLUSTER__VIEW_BYTES_MAX ((size_t) 16 << 30)    /* never met: memory ends before */
#define CLUSTER__TEXT_BYTES_MAX CLUSTER_JSON_BYTES_MAX /* of JSON that we write */

#define CLUSTER__KEY_VERSION "clusterVersion"
#define CLUSTER__KEY_DOWNGRADE "downgrade"
#define CLUSTER__REMOVED_VALUE "removed"

/* ---- view.c: a view while it is being made ---- */

/* The public part is what readers see.  It is changed only between cluster__view_copy (or _new) and
 * cluster__view_publish, while one thread has it. */
struct cluster__view {
    struct cluster_view pub;
    _Atomic uint32_t refs;
    struct arena arena; /* everything that pub points to */
    struct cluster_member *members;
    uint64_t *removed;
    struct cluster_alarm *alarms;
    size_t members_cap;
    size_t removed_cap;
    size_t alarms_cap;
};

struct cluster__view *cluster__view_new(uint64_t cluster_id, uint64_t local_id);
struct cluster__view *cluster__view_copy(const struct cluster_view *from);

void cluster__view_put_member(struct cluster__view *v, const struct cluster_member *m);
void cluster__view_del_member(struct cluster__view *v, uint64_t id);
void cluster__view_add_removed(struct cluster__view *v, uint64_t id);
void cluster__view_set_alarm(struct cluster__view *v, uint64_t member_id, int kind, bool on);
bool cluster__view_alarm_is_on(const struct cluster_view *v, uint64_t member_id, int kind);
void cluster__view_set_downgrade(struct cluster__view *v, bool enabled, const char *target);

/* Costly: order and uniqueness of all lists. */
void cluster__view_check(const struct cluster_view *v);

struct cluster {
    struct cluster_config cfg;
    struct store *store;
    struct cluster__view *view; /* one reference is ours */
};

/* Takes over `next` as the state. */
void cluster__publish(struct cluster *c, struct cluster__view *next);

/* ---- json.c ---- */

/* {"id":..,"peerURLs":..}, and isLearner, name, clientURLs, isPromote where they say something. */
bool cluster__member_json(const struct cluster_member *m, bool promote, struct buf *out);
bool cluster__downgrade_json(const struct cluster_downgrade *d, struct buf *out);
bool cluster__conf_state_json(const struct raft_conf_state *cs, struct buf *out);

NODISCARD int cluster__member_parse(struct bytes in, struct arena *a, struct cluster_member *ret,
                                    bool *ret_promote, struct err *e);
NODISCARD int cluster__downgrade_parse(struct bytes in, struct arena *a,
                                       struct cluster_downgrade *ret, struct err *e);
NODISCARD int cluster__conf_state_parse(struct bytes in, struct arena *a,
                                        struct raft_conf_state *ret, struct err *e);

#endif
