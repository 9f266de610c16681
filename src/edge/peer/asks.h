/* asks.h -- what asks.c and asks_cluster.c share. */
#ifndef KETCH_EDGE_PEER_ASKS_H
#define KETCH_EDGE_PEER_ASKS_H

#include "edge/peer/peer_int.h"

/* A page that waits for the node's answer. */
struct peer_ask {
    struct node_request node;
    struct peer_server *ps;
    struct http_req *req;
    struct arena arena;
    void (*then)(struct peer_ask *a); /* on the loop; it is freed behind it */
};

/* To be filled in further, and given to node_submit.  Without memory the process stops. */
struct peer_ask *peer__ask_new(struct http_req *r, struct peer_server *ps,
                               enum node_request_kind kind, void (*then)(struct peer_ask *a));

/* The page's status for a question that failed, and its words (etcd's leasehttp, http.go); 0: it
 * did not. */
int peer__ask_failure(const struct node_result *res, const char **ret_text);

#endif
