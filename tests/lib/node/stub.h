/* stub.h -- the others of a member that the test plays: a transport that does nothing but hand over
 * messages, and what somebody answers who votes for everybody and has all that he is sent. */
#ifndef KETCH_TESTS_LIB_STUB_H
#define KETCH_TESTS_LIB_STUB_H

#include "node/node.h"
#include "node/transport.h"

/* `send` alone is the test's.  All others count as active, and answer questions with nothing. */
struct node_transport
stub_transport(void (*send)(void *ctx, const struct raft_message *m, size_t n), void *ctx);

/* False: such a message is not answered.  Entries and context are those of `m`. */
bool stub_answer(const struct raft_message *m, struct raft_message *ret);

#endif
