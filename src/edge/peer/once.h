/* once.h -- one question after another to other members' peer ports, each waited for: what a member
 * asks before it runs. */
#ifndef KETCH_EDGE_PEER_ONCE_H
#define KETCH_EDGE_PEER_ONCE_H

#include "edge/peer/peer_int.h"

#define PEER_ONCE_BYTES_MAX ((size_t) 64 << 20)

struct peer_once {
    struct loop *loop; /* of its own */
    struct tls *tls;
    struct buf body; /* of the last answer */
    int status;      /* of it; 0: there is none, see why */
    bool has_cluster_id;
    uint64_t cluster_id; /* X-Etcd-Cluster-ID */
    bool done;
    char why[200];
};

/* `tls`: as peer_options has it; borrowed. */
NODISCARD int peer__once_open(struct peer_once *q, struct tls *tls, struct err *e);
void peer__once_close(struct peer_once *q);

struct peer_once_question {
    const char *url;
    const char *path;
    const char *cluster_hex; /* NULL: not said */
    struct bytes json;       /* the body; none if empty */
    int64_t timeout_ms;
};

/* GET.  Waits for the whole answer.  False: none has come; `why` says so. */
bool peer__once_get(struct peer_once *q, const struct peer_once_question *ask);

/* compatible.c: may this release share the cluster that was found?  ERR_INVALID: no. */
NODISCARD int peer__check_versions(struct peer_once *q, const struct peer_discovery *d,
                                   const struct peer_discovered *f, struct err *e);

#endif
