/* gateway_answer.c -- what a call answers, as JSON on its way to the client.
 *
 * Messages are read in parts and written in parts, and nothing is read while the client has
 * GATEWAY_QUEUED_BYTES to take: a range of any length passes through, and a stream's method sees
 * that its client is slow. */
#include "edge/server/gateway_int.h"
#include "wire/gojson.h"

/* ---- heads ---- */

static int http_status_of(int code)
{
    static const short status[] = {200, 499, 500, 400, 504, 404, 409, 403, 429,
                                   400, 409, 400, 501, 500, 503, 500, 401};

    return (size_t) code < ARRAY_LEN(status) ? status[code] : 500;
}

/* The fields of every answer: CORS, type, and what came as metadata of the call. */
static size_t head_fields(struct http_req *r, struct server *s, bool of_call,
                          struct http_field f[PAGE_FIELDS_MAX])
{
    size_t n = pages_fields_of(r, s, f);

    f[n++] = (struct http_field){"Content-Type", "application/json"};
    if (of_call)
        f[n++] = (struct http_field){"Grpc-Metadata-Content-Type", "application/grpc"};
    return n;
}

/* A field's value may not hold line ends. */
static const char *one_line(struct http_req *r, const char *text)
{
    char *line = arena_printf(http_arena(r), "%s", text);

    for (char *p = line; p != NULL && *p != '\0'; p++) {
        if ((unsigned char) *p < 0x20 || *p == 0x7f)
            *p = ' ';
    }
    return line == NULL ? "" : line;
}

static void error_text(struct buf *b, int code, const char *text, bool html)
{
    buf_printf(b, "{\"code\":%d", code);
    if (*text != '\0') {
        buf_add_str(b, ",\"message\":");
        json_add_string(b, bytes_str(text), html);
    }
    buf_add_char(b, '}');
}

static void respond_error(struct http_req *r, struct server *s, int code, const char *text)
{
    struct http_field f[PAGE_FIELDS_MAX];
    size_t n = head_fields(r, s, false, f);
    struct buf body;

    if (code == GRPC_UNAUTHENTICATED)
        f[n++] = (struct http_field){"WWW-Authenticate", one_line(r, text)};
    buf_init(&body, GATEWAY_TEXT_BYTES_MAX);
    error_text(&body, code, text, false);
    http_respond(r, http_status_of(code), f, n, buf_bytes(&body));
    buf_done(&body);
}

void gateway_error(struct http_req *r, int code, const char *text)
{
    struct io *io = loop_user(http_loop(r));

    respond_error(r, io->server, code, text);
}

/* ---- bodies ---- */

static void begin(struct gate *g)
{
    struct http_field f[PAGE_FIELDS_MAX];

    if (!g->began)
        http_begin(g->http, 200, f, head_fields(g->http, g->server, true, f));
    g->began = true;
}

static void abandon(struct gate *g)
{
    gate_done(g);
    http_abort(g->http);
}

/* Hands over what was made; `end`: of a line.  False: the request was ended. */
static bool flush(struct gate *g, bool end)
{
    struct net_piece p = net_piece_copied(g->text.p, g->text.len);
    int rc = 0;

    if (g->ws != NULL) {
        if (end || g->text.len > 0)
            rc = gateway_ws_write(g, buf_bytes(&g->text), end);
    } else if (g->text.len > 0) {
        begin(g);
        rc = http_write(g->http, &p, 1);
    }
    buf_clear(&g->text);
    if (rc != 0)
        abandon(g);
    return rc == 0;
}

/* The answer is complete with what was handed over. */
static void end_answer(struct gate *g)
{
    struct http_req *r = g->http;
    bool ws = g->ws != NULL;

    gate_done(g);
    if (ws)
        gateway_ws_end(r);
    else
        http_end(r);
}

void gate_refuse(struct gate *g, int code, const char *text)
{
    /* The text may be the call's: it is copied before that is freed. */
    struct http_req *r = g->http;
    struct server *s = g->server;
    char *copy = arena_printf(http_arena(r), "%s", text);

    if (g->ws != NULL) {
        error_text(&g->text, code, text, false);
        if (flush(g, true))
            end_answer(g);
        return;
    }
    gate_done(g);
    respond_error(r, s, code, copy == NULL ? "" : copy);
}

static void message_begin(struct gate *g)
{
    g->in_message = g->any = true;
    if (g->route->kind != NET_UNARY)
        buf_add_str(&g->text, "{\"result\":");
    (void) json_write_begin(&g->json, g->route->response, &g->text);
}

/* A line of a stream; over a WebSocket its message ends where the line would. */
static void line_end(struct gate *g)
{
    buf_add_str(&g->text, g->ws != NULL ? "}" : "}\n");
}

static void message_end(struct gate *g)
{
    if (!g->in_message)
        message_begin(g);
    g->in_message = false;
    (void) json_write_end(&g->json, &g->text);
    if (g->route->kind != NET_UNARY)
        line_end(g);
}

/* An answer that is all there, with its length. */
static void respond_whole(struct gate *g, int status)
{
    struct http_field f[PAGE_FIELDS_MAX];
    struct http_req *r = g->http;
    size_t n = head_fields(r, g->server, status == 200, f);
    struct buf text = g->text;

    buf_init(&g->text, 0);
    gate_done(g);
    http_respond(r, status, f, n, buf_bytes(&text));
    buf_done(&text);
}

/* The call has ended with OK. */
static void end_well(struct gate *g)
{
    bool unary = g->route->kind == NET_UNARY;

    if (unary && !g->began && g->ws == NULL) {
        respond_whole(g, 200);
        return;
    }
    if (g->ws == NULL)
        begin(g);
    /* The lines of a stream have gone already. */
    if ((!unary && g->ws != NULL) || flush(g, unary))
        end_answer(g);
}

static void error_line(struct gate *g, int code, const char *text)
{
    buf_add_str(&g->text, "{\"error\":");
    error_text(&g->text, code, text, true);
    line_end(g);
}

/* The call has ended with an error: before its first message that is the answer; of a stream a line
 * says so, in either case. */
static void end_badly(struct gate *g, int code, const char *text)
{
    bool unary = g->route->kind == NET_UNARY;

    if (unary && !g->any)
        gate_refuse(g, code, text);
    else if (unary)
        abandon(g); /* its message is not complete */
    else {
        error_line(g, code, text);
        if (!g->any && g->ws == NULL)
            respond_whole(g, http_status_of(code));
        else if (flush(g, true))
            end_answer(g);
    }
}

static void ended(struct gate *g)
{
    const char *text;
    int code = call_local_status(g->call, &text);

    if (code == GRPC_OK)
        end_well(g);
    else
        end_badly(g, code, text);
}

static void writable(struct http_req *r)
{
    gate_pump(http_user(r));
}

/* What is made leaves at once in a stream, and when it is much. */
static bool flush_due(const struct gate *g)
{
    return g->text.len >= GATEWAY_WHOLE_BYTES ||
           (g->text.len > 0 && (g->route->kind != NET_UNARY || g->began));
}

void gate_pump(void *gate)
{
    struct gate *g = gate;
    struct bytes part;

    gate_go_on(g);
    while (!g->over && http_queued_bytes(g->http) < GATEWAY_QUEUED_BYTES) {
        switch (call_local_read(g->call, &part)) {
        case CALL_LOCAL_PART:
            if (!g->in_message)
                message_begin(g);
            (void) json_write_part(&g->json, part, &g->text);
            if (g->text.len >= GATEWAY_WHOLE_BYTES && !flush(g, false))
                return;
            break;
        case CALL_LOCAL_MESSAGE:
            message_end(g);
            if (flush_due(g) && !flush(g, g->route->kind != NET_UNARY))
                return;
            break;
        case CALL_LOCAL_NOTHING:
            if (flush_due(g))
                (void) flush(g, false);
            return;
        case CALL_LOCAL_ENDED:
            ended(g);
            return;
        }
        if (g->json.bad) {
            abandon(g);
            return;
        }
    }
    if (!g->over)
        http_on_writable(g->http, GATEWAY_QUEUED_BYTES / 2, writable);
}
