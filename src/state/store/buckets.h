/* buckets.h -- the ten buckets of etcd's data file, and the keys of `meta`.
 *
 * Source: etcd 3.7's server/storage/schema.   Threads: any.   Memory: names are static.
 */
#ifndef KETCH_STATE_STORE_BUCKETS_H
#define KETCH_STATE_STORE_BUCKETS_H

#include "base/base.h"

/* In the order of their names, which is the order of the file and of Maintenance.Hash. */
#define STORE_BUCKET_MAP(X)               \
    X(ALARM, "alarm")                     \
    X(AUTH, "auth")                       \
    X(AUTH_ROLES, "authRoles")            \
    X(AUTH_USERS, "authUsers")            \
    X(CLUSTER, "cluster")                 \
    X(KEY, "key")                         \
    X(LEASE, "lease")                     \
    X(MEMBERS, "members")                 \
    X(MEMBERS_REMOVED, "members_removed") \
    X(META, "meta")

enum store_bucket {
#define X(name, text) STORE_##name,
    STORE_BUCKET_MAP(X)
#undef X
        STORE_BUCKETS
};

struct bytes store_bucket_name(enum store_bucket b);

#define STORE_META_CONSISTENT_INDEX "consistent_index"     /* u64 big endian, never 0 */
#define STORE_META_TERM "term"                             /* u64 big endian, never 0 */
#define STORE_META_CONF_STATE "confState"                  /* JSON of a raft ConfState */
#define STORE_META_SCHEDULED_COMPACT "scheduledCompactRev" /* a revision key of 17 bytes */
#define STORE_META_FINISHED_COMPACT "finishedCompactRev"   /* the same */
#define STORE_META_STORAGE_VERSION "storageVersion"        /* "3.6.0", "3.7.0" */

#endif
