/* cluster.h -- who the members are, and what else is small and replicated: the cluster version, a
 * downgrade in progress, alarms.
 *
 * All of it lives in the store's buckets members, members_removed, cluster and alarm, written into
 * the open batch as the log is applied, and in one immutable view that anybody may keep.  Every
 * change makes a new view; they are rare.
 *
 * A change is checked when it is applied, by pure functions on a view, and that decides; before it
 * is proposed, a hopeless one can be seen by the same functions and costs nothing.
 *
 * Source: etcd's server/etcdserver/api/membership.
 *
 * Threads: a struct cluster is owned by the apply thread; views by anyone (counted, immutable).
 * Memory: strings given are copied.  On the apply side, without memory the process stops.
 * Nothing here reads a clock: the id of a member to be added takes the time as an argument.
 */
#ifndef KETCH_STATE_CLUSTER_CLUSTER_H
#define KETCH_STATE_CLUSTER_CLUSTER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "wire/api_error.h"
#include "wire/raftpb.h"

#define CLUSTER_ERR_MAP(X)                                \
    X(CLUSTER_DAMAGED, -800, "damaged membership record") \
    X(CLUSTER_TOO_NEW, -801,                              \
      "invalid downgrade; server version is lower than determined cluster version")

enum cluster_err {
#define X(name, code, text) ERR_##name = code,
    CLUSTER_ERR_MAP(X)
#undef X
};

/* Limits on what is about to be proposed, and on what another process says.  What is in the log or
 * the store has none of its own: etcd lets in whatever comes in a request, so it was accepted, by
 * Ketch or by an etcd, and must be read, however absurd. */
#define CLUSTER_JSON_BYTES_MAX \
    ((size_t) 1 << 30)           /* of a member: what fits into an entry of the log */
#define CLUSTER_URLS_MAX 4096    /* of one member, where a command line names them */
#define CLUSTER_MEMBERS_MAX 4096 /* in a list of members */
#define CLUSTER_ALARMS_MAX 8192  /* more are not activated: clients choose the member ids */

struct store;

/* ---- versions ---- */

/* major << 16 | minor; 0: not decided. */
typedef uint32_t cluster_version;

#define CLUSTER_VERSION(major, minor) ((cluster_version) ((major) << 16 | (minor)))
#define CLUSTER_VERSION_TEXT_BYTES 24

/* "3.6.0" (the patch is always 0); "" for 0. */
void cluster_version_text(cluster_version v, char ret[CLUSTER_VERSION_TEXT_BYTES]);

/* Reads "M.m" and "M.m.p", a pre-release suffix behind p included.  False: neither. */
bool cluster_version_parse(struct bytes s, cluster_version *ret);

/* ---- views ---- */

struct cluster_strings {
    const char *const *v; /* NUL-terminated, UTF-8 */
    size_t n;
};

struct cluster_member {
    uint64_t id;
    struct cluster_strings peer_urls;
    bool is_learner;
    const char *name; /* "": not published yet, so not started */
    struct cluster_strings client_urls;
};

struct cluster_alarm {
    uint64_t member_id;
    int kind; /* 1 NOSPACE, 2 CORRUPT; others may have been stored */
};

struct cluster_downgrade {
    bool enabled;
    const char *target; /* "3.6.0", or "" */
};

struct cluster_view {
    uint64_t cluster_id;
    uint64_t local_id;
    const struct cluster_member *members; /* ascending id */
    size_t members_n;
    const uint64_t *removed; /* ascending */
    size_t removed_n;
    const struct cluster_alarm *alarms; /* ascending member id, then kind */
    size_t alarms_n;
    cluster_version version;
    struct cluster_downgrade downgrade;
    cluster_version storage_version; /* meta/storageVersion; without it 3.5, or 0 when unknown */
};

const struct cluster_view *cluster_view_ref(const struct cluster_view *v); /* returns v */
void cluster_view_unref(const struct cluster_view *v);                     /* NULL is accepted */

/* Borrowed from the view; NULL: there is none. */
const struct cluster_member *cluster_view_member(const struct cluster_view *v, uint64_t id);
bool cluster_view_is_removed(const struct cluster_view *v, uint64_t id);
bool cluster_view_has_alarm(const struct cluster_view *v, int kind); /* on any member */
size_t cluster_view_voters(const struct cluster_view *v);            /* how many there are */

/* ---- life ---- */

struct cluster;

struct cluster_config {
    uint64_t cluster_id;
    uint64_t local_id;
    cluster_version level; /* --emulated-version: 3.5, 3.6 or 3.7 */
    int64_t learners_max;  /* --max-learners; below 0 is less than none */
};

/* Loads everything from the store.  Also after a snapshot has replaced the store: free the old one,
 * open anew.
 *   ERR_CLUSTER_DAMAGED   a record that cannot be read
 *   ERR_CLUSTER_TOO_NEW   the stored cluster version is above `level`
 *   ERR_NOMEM, or an error of the store */
NODISCARD int cluster_open(const struct cluster_config *cfg, struct store *s, struct cluster **ret,
                           struct err *e);
void cluster_free(struct cluster *c); /* NULL is accepted */

/* The membership that a snapshot of a data file shows: any thread.  The view is the caller's to
 * unref.  Errors as of cluster_open, TOO_NEW apart. */
struct store_snapshot;
NODISCARD int cluster_view_read(uint64_t cluster_id, uint64_t local_id,
                                const struct store_snapshot *sn, const struct cluster_view **ret,
                                struct err *e);

/* The state now; borrowed until the next change: cluster_view_ref keeps it. */
const struct cluster_view *cluster_view(const struct cluster *c);

/* ---- the list of members, as members tell one another (GET /members) ---- */

/* False when the buffer refuses. */
bool cluster_members_json(const struct cluster_view *v, struct buf *out);
/* Everything is in the arena.   ERR_CORRUPT, ERR_LIMIT, ERR_NOMEM */
NODISCARD int cluster_members_parse(struct bytes in, struct arena *a, struct cluster_member **ret,
                                    size_t *ret_n, struct err *e);

/* ---- changes of membership ---- */

/* What a ConfChange entry of etcd means. */
struct cluster_change {
    enum raft_conf_change_type type;
    bool promote;                 /* type ADD_NODE: the learner `member.id` becomes a voter */
    struct cluster_member member; /* REMOVE: the id only; UPDATE: id and peer URLs */
};

/* Decodes a ConfChange, its JSON context included; strings are in the arena.
 *   ERR_CORRUPT   no JSON of a member, or of another one than node_id;   ERR_LIMIT, ERR_NOMEM */
NODISCARD int cluster_change_get(const struct raft_conf_change *cc, struct arena *a,
                                 struct cluster_change *ret, struct err *e);

/* Appends the context for a proposal, byte for byte as etcd writes it; nothing for a removal.
 * False when the buffer refuses. */
bool cluster_change_context_put(const struct cluster_change *ch, struct buf *out);

/* API_OK, or what the change's caller is answered: MEMBER_NOT_FOUND (unknown or removed before),
 * MEMBER_EXIST, PEER_URL_EXIST, TOO_MANY_LEARNERS, MEMBER_NOT_LEARNER. */
enum api_error cluster_check_change(const struct cluster_view *v, const struct cluster_change *ch,
                                    int64_t learners_max);

/* False: there are more learners than a member with this limit may start with (etcd's
 * ValidateMaxLearnerConfig), and these are etcd's words for it. */
#define CLUSTER_TOO_MANY_LEARNERS_TEXT "membership: too many learner members in cluster"
bool cluster_learners_fit(const struct cluster_view *v, int64_t learners_max);

/* Checks and, when it is allowed, applies.  On an error nothing changed, and raft is to be given
 * the change with node id 0. */
enum api_error cluster_apply_change(struct cluster *c, const struct cluster_change *ch);

/* The strict check before proposing: are enough voters started (do they have a name)?  For a
 * promotion the learner counts as started. */
bool cluster_ready_to_add_voter(const struct cluster_view *v);
bool cluster_ready_to_remove_voter(const struct cluster_view *v, uint64_t id);
bool cluster_ready_to_promote(const struct cluster_view *v);

/* meta/confState, beside the change that it reflects. */
void cluster_put_conf_state(struct cluster *c, const struct raft_conf_state *cs);

/* *ret_found false: there is none.  Lists are in the arena.  For start-up.
 *   ERR_CORRUPT   no JSON of a ConfState;   ERR_LIMIT, ERR_NOMEM */
NODISCARD int cluster_get_conf_state(struct store *s, struct arena *a, struct raft_conf_state *ret,
                                     bool *ret_found, struct err *e);

/* What the members bucket says: voters and learners, ascending, in the arena.  ERR_NOMEM. */
NODISCARD int cluster_conf_state_of(const struct cluster_view *v, struct arena *a,
                                    struct raft_conf_state *ret);

/* ---- other changes ---- */

/* A member publishes itself.  False: unknown or removed, nothing changed. */
bool cluster_apply_attributes(struct cluster *c, uint64_t id, const char *name,
                              const struct cluster_strings *client_urls);

/* ERR_CLUSTER_TOO_NEW: this member is older than that and must stop; nothing changed. */
NODISCARD int cluster_apply_version(struct cluster *c, cluster_version v, struct err *e);

void cluster_apply_downgrade(struct cluster *c, bool enabled, const char *target);

/* True when it changed something.  kind is not 0 (etcd stores unknown ones too). */
bool cluster_apply_alarm(struct cluster *c, uint64_t member_id, int kind, bool activate);

/* Brings meta/storageVersion to the cluster version, but never above `level`: the field is absent
 * at 3.5.  Not part of the log: every member does it by itself, every few seconds and when the
 * cluster version changes.  `may_lower`: no entry of the log after the newest disk snapshot needs
 * the newer schema.  True when it changed something. */
bool cluster_update_storage_version(struct cluster *c, bool may_lower);

/* ---- requests to the v2 store, which 3.5 still writes to the log ---- */

enum cluster_v2_kind {
    CLUSTER_V2_ATTRIBUTES, /* as ClusterMemberAttrSetRequest */
    CLUSTER_V2_VERSION,    /* as ClusterVersionSetRequest */
    CLUSTER_V2_OTHER,      /* of no effect here: SYNC, and user data of the v2 API */
};

struct cluster_v2_request {
    enum cluster_v2_kind kind;
    uint64_t id; /* of the request */
    uint64_t member_id;
    const char *name;
    struct cluster_strings client_urls;
    cluster_version version;
};

/* True when entry data is such a request and not an InternalRaftRequest. */
bool cluster_is_v2_request(struct bytes data);

/* Strings are in the arena.   ERR_CORRUPT, ERR_LIMIT, ERR_NOMEM */
NODISCARD int cluster_v2_request_get(struct bytes data, struct arena *a,
                                     struct cluster_v2_request *ret, struct err *e);

/* ---- ids and URLs ---- */

/* The first 8 bytes of a SHA-1 over the sorted URLs, the token, and the time if any.
 * `unix_s` < 0: at bootstrap; else, for MemberAdd, seconds since 1970 (and an empty token). */
uint64_t cluster_member_id(const struct cluster_strings *peer_urls, const char *token,
                           int64_t unix_s);

/* Of the bootstrap membership. */
uint64_t cluster_id_of(const uint64_t *member_ids, size_t n);

/* http, https, unix or unixs; host and port; no path. */
bool cluster_url_valid(const char *url);

/* Lower-case hex without leading zeros, as in keys, paths and URLs. */
#define CLUSTER_ID_TEXT_BYTES 17
void cluster_id_text(uint64_t id, char ret[CLUSTER_ID_TEXT_BYTES]);
bool cluster_id_parse(struct bytes s, uint64_t *ret);

#endif
