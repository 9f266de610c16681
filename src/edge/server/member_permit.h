/* member_permit.h -- may who asks on the peer port change the membership?
 *
 * POST /members/promote/ID comes from members that hand on what a client has asked of them, with
 * the client's token; anybody else who reaches the port has to show one, too.  While users are off
 * everybody may.
 *
 * Threads: made after server_attach and freed after that thread has ended by the one that sets up;
 * asked by one other.
 */
#ifndef KETCH_EDGE_SERVER_MEMBER_PERMIT_H
#define KETCH_EDGE_SERVER_MEMBER_PERMIT_H

#include "base/err.h"
#include "wire/api_error.h"

struct server;
struct member_permit;

/* ERR_NOMEM, ERR_LIMIT */
NODISCARD int member_permit_new(struct server *s, struct member_permit **ret, struct err *e);
void member_permit_free(struct member_permit *p); /* NULL is accepted */

/* `permit`: a struct member_permit.  `token` as it was sent; empty: none was.  API_OK, or
 * INVALID_AUTH_TOKEN, USER_EMPTY, PERMISSION_DENIED. */
enum api_error member_permit_ask(void *permit, struct bytes token);

#endif
