/* initial.h -- the cluster that a restored member is to begin: --initial-cluster and what must
 * agree with it.  Checks and words are those of etcd's start. */
#ifndef KETCH_CMD_ETCDUTL_INITIAL_H
#define KETCH_CMD_ETCDUTL_INITIAL_H

#include "base/arena.h"
#include "base/err.h"
#include "state/cluster/cluster.h"

struct initial_flags {
    const char *name;
    const char *cluster; /* "n1=http://10.0.0.1:2380,n2=..." */
    const char *token;
    const char *peer_urls; /* of this member, comma separated */
};

struct initial {
    const struct cluster_member *members; /* ascending id */
    size_t n;
    const struct cluster_member *self;
    uint64_t cluster_id;
};

/* Everything returned is in the arena.  ERR_INVALID with etcd's words, ERR_LIMIT, ERR_NOMEM.  Names
 * of hosts are looked up when the URLs of this member differ in their texts. */
NODISCARD int initial_read(const struct initial_flags *f, struct arena *a, struct initial *ret,
                           struct err *e);

#endif
