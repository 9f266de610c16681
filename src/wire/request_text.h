/* request_text.h -- requests as etcd's log lines show them: protobuf's text form on one line, with
 * the size of a value in its place and without passwords and tokens.
 *
 * Threads: any.   Memory: the text goes to the end of a buffer, which may refuse (buf.failed).
 */
#ifndef KETCH_WIRE_REQUEST_TEXT_H
#define KETCH_WIRE_REQUEST_TEXT_H

#include "base/buf.h"
#include "raft_internal.pb-c.h"
#include "rpc.pb-c.h"

/* Any message, whole: `key:"a"  limit:3`. */
void message_text(struct buf *b, const ProtobufCMessage *m);

/* `key:"a" value_size:3 ` */
void put_text(struct buf *b, const Etcdserverpb__PutRequest *q);
/* `compare:<...> success:<request_put:<...> request_range:{...}> failure:<>` */
void txn_text(struct buf *b, const Etcdserverpb__TxnRequest *q);
/* `header:<ID:1 > put:<...>`: an entry of the log. */
void raft_request_text(struct buf *b, const Etcdserverpb__InternalRaftRequest *q);

#endif
