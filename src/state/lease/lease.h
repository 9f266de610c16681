/* lease.h -- leases: keys that vanish unless their owner keeps saying it is alive.
 *
 * Only the leader ends leases ("primary", in etcd's word); followers mirror them and never see one
 * expire.  A new leader restarts every lease's time, because ending one late is harmless and ending
 * one early is not.  Ending is not done here: the primary names the leases whose time is up, the
 * node sends a revoke for each through the log, and every member then calls lease_revoke.
 *
 * Nothing here reads a clock: the caller passes `now`.  What is kept on disk (bucket `lease`, one
 * leasepb.Lease per id) goes into the store's open batch.  Which keys hang on a lease is not on
 * disk: mvcc tells it again at start, from the lease field of each key's last value.
 *
 * Threads: owned by the apply thread, no locks.   Memory: copies whatever it keeps; a lease costs
 * about 170 bytes, an attached key about 90 and its bytes.
 */
#ifndef KETCH_STATE_LEASE_LEASE_H
#define KETCH_STATE_LEASE_LEASE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "sys/clock.h"

#define LEASE_ERR_MAP(X)                                                 \
    X(NOT_FOUND, -600, "requested lease not found")                      \
    X(EXISTS, -601, "lease already exists")                              \
    X(TTL_TOO_LARGE, -602, "too large lease TTL")                        \
    X(NOT_PRIMARY, -603, "not a primary lessor")                         \
    X(EXPIRED, -604, "lease is expired and about to be revoked")         \
    X(CHECKPOINTED, -605, "a remaining TTL is recorded; clear it first") \
    X(DAMAGED, -606, "damaged lease record")

enum lease_err {
#define X(name, code, text) ERR_LEASE_##name = code,
    LEASE_ERR_MAP(X)
#undef X
};

typedef int64_t lease_id; /* any value but 0, negative ones too */

#define LEASE_NONE 0
#define LEASE_TTL_S_MAX INT64_C(9000000000)
#define LEASE_EXPIRE_MAX 500      /* leases that one scan should name: etcd's 1000 per second */
#define LEASE_CHECKPOINT_MAX 1000 /* leases in one checkpoint request */
#define LEASE_SPREAD_MIN 1000     /* so many leases at promotion: their ends are spread ... */
#define LEASE_SPREAD_PER_S 750    /* ... so that at most this many end in one second */
#define LEASE_TTL_S_UNKNOWN INT64_C(9223372036) /* what is left where nothing expires */

struct store;
struct lessor; /* opaque: see lease_int.h */

struct lessor_config {
    int64_t ttl_s_min;     /* shorter ones are raised: ceil of 1.5 election timeouts */
    mono_ms retry_ms;      /* a lease named as expired is named again after this */
    mono_ms checkpoint_ms; /* how often a long lease's rest is recorded; 0: never */
    uint64_t hash_seed[2]; /* from the process's random source: clients choose keys and ids */
};

/* Loads all leases of the store; none is primary.  The bucket must exist already or be created by
 * store's open.  Also used after a snapshot has replaced the store: free the old one, open anew.
 *
 *   ERR_LEASE_DAMAGED   a record that is no Lease or whose key is not its id
 *   or an error of the store
 */
NODISCARD int lessor_open(const struct lessor_config *cfg, struct store *store, struct lessor **ret,
                          struct err *e);

/* NULL is accepted.  Every waiter is called with ERR_LEASE_NOT_PRIMARY. */
void lessor_free(struct lessor *l);

/* The fixed text of a code above; others as err_text. */
const char *lease_err_text(int code);

/* ---- changes that come out of the log: the same on every member ---- */

/* Create lease `id` lasting `ttl_s` seconds; a ttl_s below the minimum, zero and negative included,
 * is raised to it.  Id 0 is not a lease: the proposer replaces it by a generated one.
 *
 * Returns 0 and the granted TTL in *ret_ttl_s; on failure nothing changed:
 *   ERR_LEASE_NOT_FOUND       id is 0
 *   ERR_LEASE_TTL_TOO_LARGE   ttl_s > LEASE_TTL_S_MAX
 *   ERR_LEASE_EXISTS          the id is in use
 */
NODISCARD int lease_grant(struct lessor *l, lease_id id, int64_t ttl_s, mono_ms now,
                          int64_t *ret_ttl_s);

/* Keys in ascending byte order.  They are the revoked lease's own: free with lease_keys_free. */
struct lease_keys {
    struct bytes *keys;
    size_t n;
    struct list items; /* private: what the bytes live in */
};

/* End a lease: its record is deleted, its waiters are told, its keys are detached and handed over.
 * The caller deletes them in one mvcc transaction within the same store batch.  (That transaction
 * detaches each key as it goes; here they are detached already, which lease_detach forgives.)
 *
 *   ERR_LEASE_NOT_FOUND   *ret_keys is untouched
 */
NODISCARD int lease_revoke(struct lessor *l, lease_id id, struct lease_keys *ret_keys);
void lease_keys_free(struct lease_keys *k);

/* A checkpoint entry: the lease has `remaining_ttl_s` left (0: forget what was recorded).  Written
 * to the store when `persist` (the persist gate is on or the cluster version is 3.6 or above). An
 * unknown lease is passed over: it was revoked while the entry was on its way. */
void lease_checkpoint(struct lessor *l, lease_id id, int64_t remaining_ttl_s, bool persist);

/* ---- keys: called by mvcc's hooks ---- */

bool lease_exists(const struct lessor *l, lease_id id);

/* Hang `key` on `id`; it leaves the lease that it hung on before.
 *   ERR_LEASE_NOT_FOUND   no such lease: the key then hangs on none */
NODISCARD int lease_attach(struct lessor *l, lease_id id, struct bytes key);

/* Take `key` off the lease that it hangs on, if any. */
void lease_detach(struct lessor *l, struct bytes key);

/* The lease that `key` hangs on, or LEASE_NONE.  Costs nothing while no key hangs on a lease. */
lease_id lease_of_key(const struct lessor *l, struct bytes key);

/* ---- what a member knows ---- */

struct lease_info {
    int64_t granted_ttl_s;
    int64_t ttl_s;           /* whole seconds left, cut towards zero; negative soon after expiry */
    int64_t remaining_ttl_s; /* recorded by a checkpoint; 0: none */
    size_t keys_n;
};

/*   ERR_LEASE_NOT_FOUND   unknown */
NODISCARD int lease_lookup(const struct lessor *l, lease_id id, mono_ms now,
                           struct lease_info *ret);

/* The attached keys, copied into the arena, in the order in which they were put on the lease.
 *   ERR_LEASE_NOT_FOUND   unknown
 *   ERR_NOMEM             the arena is full */
NODISCARD int lease_keys(const struct lessor *l, lease_id id, struct arena *a,
                         struct bytes **ret_keys, size_t *ret_n);

/* A walk over the keys of leases, which takes up each lease once, however often it is named: a
 * request that names the same lease a thousand times does not look at its keys a thousand times.
 * Nothing is copied.  lease_walk_keys calls `fn` for each key until it returns false, in no order
 * that means anything; for no key when there is no such lease or it had its turn since the last
 * lease_walk_begin.  `fn` may not call into the lessor; the key is its own no longer than that. */
void lease_walk_begin(struct lessor *l);
void lease_walk_keys(struct lessor *l, lease_id id, bool (*fn)(void *ctx, struct bytes key),
                     void *ctx);

/* Calls `fn` for each lease until it returns false, in no order that means anything.  It may walk
 * the lease's keys. */
void lease_each(const struct lessor *l, bool (*fn)(void *ctx, lease_id id), void *ctx);

/* All ids, the one that ends soonest first; by id where nothing expires.
 *   ERR_NOMEM             the arena is full */
NODISCARD int lease_list(const struct lessor *l, struct arena *a, lease_id **ret_ids,
                         size_t *ret_n);

size_t lessor_count(const struct lessor *l);
bool lessor_is_primary(const struct lessor *l);

/* ---- the primary's part: never through the log ---- */

/* This member leads: every lease ends at now + extend_ms + (recorded rest, else TTL).  From
 * LEASE_SPREAD_MIN leases on, ends are delayed so that no second sees more than LEASE_SPREAD_PER_S.
 */
void lessor_promote(struct lessor *l, mono_ms now, mono_ms extend_ms);

/* It leads no more: nothing expires, and every waiter is called with ERR_LEASE_NOT_PRIMARY. */
void lessor_demote(struct lessor *l);

/* Keep alive: the lease ends a whole TTL from now.
 *
 * Returns 0 and the TTL; on failure nothing changed:
 *   ERR_LEASE_NOT_PRIMARY    ask the leader
 *   ERR_LEASE_NOT_FOUND      unknown
 *   ERR_LEASE_EXPIRED        its time is up but the revoke is not yet applied: see lease_await
 *   ERR_LEASE_CHECKPOINTED   a rest is recorded: send a checkpoint of 0 through the log, then retry
 */
NODISCARD int lease_renew(struct lessor *l, lease_id id, mono_ms now, int64_t *ret_ttl_s);

/* Who waits for the end of an expired lease.  Owned by the caller, who must keep it until `done`
 * was called or lease_await_cancel. */
struct lease_waiter {
    /* rc: ERR_LEASE_NOT_FOUND (revoked) or ERR_LEASE_NOT_PRIMARY (demoted: forward the request).
     * May not call into the lessor. */
    void (*done)(struct lease_waiter *w, int rc);
    struct list link; /* private */
};

/* Call w->done when the lease is revoked or this member demoted.
 *   ERR_LEASE_NOT_FOUND, ERR_LEASE_NOT_PRIMARY   that is so already; done is not called */
NODISCARD int lease_await(struct lessor *l, lease_id id, struct lease_waiter *w);
void lease_await_cancel(struct lease_waiter *w); /* also fine after done */

/* Up to `max` leases whose time is up, longest overdue first; each is named again after retry_ms if
 * it is still there.  Returns how many; 0 on a member that is not primary. */
size_t lessor_expired(struct lessor *l, mono_ms now, lease_id *ret_ids, size_t max);

struct lease_rest {
    lease_id id;
    int64_t remaining_ttl_s; /* rounded up */
};

/* Up to `max` leases whose rest should be recorded now.  Each comes again after checkpoint_ms. */
size_t lessor_checkpoints(struct lessor *l, mono_ms now, struct lease_rest *ret, size_t max);

/* When one of the two above has something to say; INT64_MAX: not before something else happens. */
mono_ms lessor_next_due(const struct lessor *l);

/* Aborts when an invariant of README.md does not hold. */
void lessor_check(const struct lessor *l);

#endif
