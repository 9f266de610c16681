/* self.h -- the member as its own client: what Lock and Election ask of the other services.
 *
 * Such a request goes the way of a client's: quota, checks, log.  Whatever ends it, `then` is
 * called once with the result; only without memory the call is ended instead.  An error reaches the
 * client as etcd's in-process client hands it on: code Unknown, with the error's text.
 *
 * Threads: the call's loop.
 */
#ifndef KETCH_EDGE_SERVER_SELF_H
#define KETCH_EDGE_SERVER_SELF_H

#include "edge/server/server_int.h"

void self_txn(struct call *c, const Etcdserverpb__TxnRequest *q, void *user,
              void (*then)(struct req *r));
void self_delete(struct call *c, struct bytes key, void *user, void (*then)(struct req *r));
/* A lease of an id that the server chooses: self_granted tells it. */
void self_grant(struct call *c, int64_t ttl_s, void *user, void (*then)(struct req *r));
int64_t self_granted(const struct req *r);

/* The header of an answer that went through the log. */
struct mvcc_header self_header(const struct req *r);

/* What a client is told of a result: GRPC_OK, or a code and a text. */
int self_code(const struct node_result *res, const char **ret_text);

/* True when the result is an error: then the call was ended with it. */
bool self_failed(struct call *c, const struct node_result *res);

#endif
