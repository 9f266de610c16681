/* permit.h -- who calls, and whether he may: the checks of the API layer.
 *
 * An identity comes from the token in the call's metadata, or else from the client's certificate.
 * It is established anew for each question, because between two messages of a stream a token may
 * end and users may change.  Writes are decided when they are applied; the identity travels with
 * them.
 *
 * Threads: the call's loop.
 */
#ifndef KETCH_EDGE_SERVER_PERMIT_H
#define KETCH_EDGE_SERVER_PERMIT_H

#include "edge/server/server_int.h"

/* API_OK, or INVALID_AUTH_TOKEN: a token was sent, and it is none.  Nobody is an identity, too. The
 * user's name is NUL-terminated in `mem`. */
enum api_error permit_who(struct call *c, struct arena *mem, struct auth_who *ret);

/* API_OK, or why not.  Each establishes who calls. */
enum api_error permit_known(struct call *c);
enum api_error permit_admin(struct call *c);
enum api_error permit_range(struct call *c, struct arena *mem, enum auth_access access,
                            struct bytes key, struct bytes range_end);

/* For reads that run here: before them, and after them with the same identity, for users and roles
 * may have changed since the check (AUTH_OLD_REVISION). */
enum api_error permit_read(struct call *c, struct bytes key, struct bytes range_end,
                           struct auth_who *ret);
enum api_error permit_read_txn(struct call *c, const Etcdserverpb__TxnRequest *q,
                               struct auth_who *ret);
enum api_error permit_after(struct io *io, const struct auth_who *w);

/* True for API_OK; else the call was ended with the error. */
bool permitted(struct call *c, enum api_error err);

/* Puts the caller's name on a request to the node, where it has any use.  False: it may not go, and
 * has its result. */
bool permit_request(struct req *r);

/* A simple token that another member has seen made may not be known here yet: its entry is still to
 * be applied.  Calls with such a token wait at the gate, before their method hears of them. */
void permit_gate_install(struct server *s, struct net_method *m);

#endif
