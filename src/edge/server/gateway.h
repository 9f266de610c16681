/* gateway.h -- the JSON gateway: every gRPC method of etcd's services by HTTP under /v3/, as
 * grpc-gateway has it.
 *
 * A request becomes a call of call_local.h, and with it runs through the same table of methods,
 * checks and counters as one that came by gRPC; nothing here knows what a method does.  JSON is
 * that of wire/json.h.
 *
 *      unary methods     the first value of the body, and one value back
 *      streams           one value after the other, and a line {"result":...} for each message back
 *      WebSocket         the same, a text message for each line (gateway_ws.c)
 *
 * Invariants, of a request that is under way (struct gate):
 *   G1  The call is freed before the request is ended, whoever ends first.
 *   G2  Held are: the value that is being read (GATEWAY_VALUE_FACTOR times the largest message at
 *       most), what came while its method asked to wait, and GATEWAY_QUEUED_BYTES of the answer.
 *       All requests of one I/O thread together hold GATEWAY_HELD_BYTES_MAX of values at most.
 */
#ifndef KETCH_EDGE_SERVER_GATEWAY_H
#define KETCH_EDGE_SERVER_GATEWAY_H

#include "edge/server/server_int.h"

/* A path that is the gateway's: "/v3/..." and, as etcd still takes it, "/v3beta/...". */
bool gateway_path(struct bytes path);

/* Answers the request, now or later. */
void gateway_serve(struct http_req *r, struct server *s);

#endif
