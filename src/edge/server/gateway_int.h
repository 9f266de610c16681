/* gateway_int.h -- a request of the JSON gateway from the inside.  See gateway.h. */
#ifndef KETCH_EDGE_SERVER_GATEWAY_INT_H
#define KETCH_EDGE_SERVER_GATEWAY_INT_H

#include "edge/server/gateway.h"
#include "engine/net/call_local.h"
#include "engine/net/ws.h"
#include "wire/json.h"

/* A message in base64, with blanks and names: three times as long is long enough. */
#define GATEWAY_VALUE_FACTOR 3
#define GATEWAY_OVERHEAD_BYTES ((size_t) 512 << 10) /* of a message beside --max-request-bytes */
#define GATEWAY_HELD_BYTES_MAX ((size_t) 64 << 20)
#define GATEWAY_QUEUED_BYTES ((size_t) 256 << 10)
/* Answers up to this size leave whole, with their length. */
#define GATEWAY_WHOLE_BYTES ((size_t) 64 << 10)
#define GATEWAY_TEXT_BYTES_MAX ((size_t) 1 << 20)
#define GATEWAY_SCRATCH_BYTES_MAX ((size_t) 64 << 20)

struct gateway_route {
    const char *path; /* "/v3/kv/range" */
    const char *method;
    enum net_method_kind kind;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
};

extern const struct gateway_route gateway_routes[];
extern const size_t gateway_routes_n;

/* NULL: there is none. */
const struct gateway_route *gateway_route_find(struct bytes path);

struct gateway_ws {
    struct ws_in in;
    bool in_line; /* the first frame of a text message has gone, its last has not */
};

/* Lives in the request's arena. */
struct gate {
    struct http_req *http;
    struct server *server;
    struct io *io;
    const struct gateway_route *route;
    struct call_local *call;

    /* What comes in: gateway_input.c. */
    struct json_scan scan;
    struct buf value; /* the value that is being read */
    size_t value_bytes_max;
    struct buf rest; /* what came while the method asked to wait */
    bool input_done; /* nothing more is wanted of it */
    bool paused;     /* the client is not read */
    bool end_due;    /* the body's end came meanwhile */
    bool failed;     /* a request's value is malformed: `why` */
    int why_code;
    const char *why;
    size_t held_bytes; /* of io->gateway_held_bytes */

    /* What goes out: gateway_answer.c. */
    struct json_write json;
    struct buf text; /* made, not handed to the connection yet */
    bool began;      /* the head of the answer has gone */
    bool any;        /* a message was begun */
    bool in_message;
    bool over;             /* the request was ended, this is about to be forgotten */
    struct gateway_ws *ws; /* NULL: plain HTTP */
};

/* Frees all that the gate holds, the call included; the request is to be ended next. */
void gate_done(struct gate *g);

/* Opens the call, as soon as it is known that there is one; false: the request was refused. */
bool gate_open(struct gate *g);

static inline bool gateway_begins(struct bytes s, const char *with)
{
    size_t n = strlen(with);

    return s.n >= n && memcmp(s.p, with, n) == 0;
}

/* gateway_metadata.c: of the request's head; false: no memory. */
bool gate_add_metadata(struct gate *g);

/* gateway_input.c: the next bytes of the request, and its end. */
void gate_input(struct gate *g, struct bytes in);
void gate_input_end(struct gate *g);
/* Goes on with what came while the method asked to wait, if it no longer does. */
void gate_go_on(struct gate *g);
/* Forgets the value that is being read, or was sent: the sums have room again. */
void gate_value_drop(struct gate *g);

/* gateway_answer.c */

/* Moves what the call has to say to the client, as fast as that takes it.  May end the request. */
void gate_pump(void *gate);
/* {"code":5,"message":"Not Found"}: ends the request. */
void gate_refuse(struct gate *g, int code, const char *text);
/* The same for a request without a gate. */
void gateway_error(struct http_req *r, int code, const char *text);

/* gateway_ws.c */

/* The request asks for a WebSocket. */
bool gateway_ws_wanted(struct http_req *r);
/* Answers 101; false: it was refused, and the request ended. */
bool gateway_ws_begin(struct http_req *r, struct server *s);
/* Goes on with frames: they are the gate's input. */
void gateway_ws_read(struct http_req *r);
/* The token that a browser, which cannot set Authorization, gives elsewhere; false: none. */
bool gateway_ws_token(struct http_req *r, struct bytes *ret);
/* A part of a line; `end`: its last.  0 or as http_write. */
NODISCARD int gateway_ws_write(struct gate *g, struct bytes part, bool end);
/* Closes the socket, and ends the request. */
void gateway_ws_end(struct http_req *r);

#endif
