/* gateway_ws.c -- the gateway over a WebSocket, as etcd's wsproxy has it.
 *
 * Every path of the gateway may be asked for so, with GET, and counts as POSTed to.  Messages of
 * the client are pieces of the body, each followed by a line end; each line of the answer is a text
 * message.  When the answer is complete the socket is closed. */
#include "edge/server/gateway_int.h"
#include "engine/net/ws.h"

#define BEARER "Bearer"

/* ---- the handshake ---- */

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t) (c + 32) : c;
}

/* Whether a list of tokens ("keep-alive, Upgrade") has this one, in any case. */
static bool has_token(struct bytes list, const char *token)
{
    size_t n = strlen(token), i = 0;

    while (i < list.n) {
        size_t end = i, k = 0;

        while (end < list.n && list.p[end] != ',')
            end++;
        while (i < end && (list.p[i] == ' ' || list.p[i] == '\t'))
            i++;
        while (i + k < end && k < n && lower(list.p[i + k]) == (uint8_t) token[k])
            k++;
        i += k;
        while (i < end && (list.p[i] == ' ' || list.p[i] == '\t'))
            i++;
        if (k == n && i == end)
            return true;
        i = end + 1;
    }
    return false;
}

static bool field_has(struct http_req *r, const char *name, const char *token)
{
    struct bytes v;

    return http_header(r, name, &v) && has_token(v, token);
}

bool gateway_ws_wanted(struct http_req *r)
{
    return field_has(r, "connection", "upgrade") && field_has(r, "upgrade", "websocket");
}

static bool is_bearer(struct http_req *r, struct bytes *ret)
{
    return http_header(r, "sec-websocket-protocol", ret) && ret->n >= strlen(BEARER) &&
           memcmp(ret->p, BEARER, strlen(BEARER)) == 0;
}

static void refuse(struct http_req *r, struct server *s, int status, const char *text)
{
    struct http_field f[PAGE_FIELDS_MAX];
    size_t n = pages_fields_of(r, s, f);

    f[n++] = (struct http_field){"Content-Type", "text/plain; charset=utf-8"};
    f[n++] = (struct http_field){"X-Content-Type-Options", "nosniff"};
    f[n++] = (struct http_field){"Sec-Websocket-Version", "13"};
    http_respond(r, status, f, n, bytes_str(text));
}

static bool switch_protocols(struct http_req *r)
{
    struct http_field f[4] = {{"Upgrade", "websocket"}, {"Connection", "Upgrade"}};
    struct bytes key = BYTES_EMPTY, ignored;
    char accept[WS_ACCEPT_BYTES];
    size_t n = 3;

    if (!field_has(r, "sec-websocket-version", "13") ||
        !http_header(r, "sec-websocket-key", &key) || key.n == 0 || !ws_accept(key, accept))
        return false;
    f[2] = (struct http_field){"Sec-WebSocket-Accept", accept};
    if (is_bearer(r, &ignored))
        f[n++] = (struct http_field){"Sec-WebSocket-Protocol", BEARER};
    return http_upgrade(r, f, n);
}

/* ---- tokens ---- */

/* The cookie `token`. */
static bool cookie(struct http_req *r, struct bytes *ret)
{
    static const char name[] = "token=";
    struct bytes v;

    if (!http_header(r, "cookie", &v))
        return false;
    for (size_t i = 0; i < v.n;) {
        size_t end = i;

        while (end < v.n && v.p[end] != ';')
            end++;
        while (i < end && v.p[i] == ' ')
            i++;
        if (end - i >= strlen(name) && memcmp(v.p + i, name, strlen(name)) == 0) {
            *ret = bytes_of(v.p + i + strlen(name), end - i - strlen(name));
            return true;
        }
        i = end + 1;
    }
    return false;
}

bool gateway_ws_token(struct http_req *r, struct bytes *ret)
{
    if (cookie(r, ret))
        return true;
    if (!is_bearer(r, ret))
        return false;
    *ret = bytes_of(ret->p + strlen(BEARER), ret->n - strlen(BEARER));
    while (ret->n > 0 && (*ret->p == ',' || *ret->p == ' '))
        *ret = bytes_of(ret->p + 1, ret->n - 1);
    while (ret->n > 0 && ret->p[ret->n - 1] == ' ')
        ret->n--;
    return true;
}

/* ---- frames ---- */

int gateway_ws_write(struct gate *g, struct bytes part, bool end)
{
    uint8_t head[WS_HEAD_BYTES_MAX];
    size_t n = ws_head_put(head, g->ws->in_line ? WS_CONTINUATION : WS_TEXT, end, part.n);
    struct net_piece v[2] = {net_piece_copied(head, n), net_piece_copied(part.p, part.n)};

    g->ws->in_line = !end;
    return http_write(g->http, v, 2);
}

/* A control frame; what cannot be queued is not worth more. */
static void control(struct http_req *r, enum ws_opcode op, struct bytes body)
{
    uint8_t head[WS_HEAD_BYTES_MAX];
    size_t n = ws_head_put(head, op, true, body.n);
    struct net_piece v[2] = {net_piece_copied(head, n), net_piece_copied(body.p, body.n)};

    if (http_write(r, v, 2) != 0)
        return;
}

static void close_frame(struct http_req *r, unsigned code)
{
    uint8_t body[2] = {(uint8_t) (code >> 8), (uint8_t) code};

    control(r, WS_CLOSE, bytes_of(body, sizeof body));
}

void gateway_ws_end(struct http_req *r)
{
    close_frame(r, WS_NORMAL);
    http_end(r);
}

/* The client wants no more, or breaks the rules. */
static void hang_up(struct gate *g, unsigned code)
{
    struct http_req *r = g->http;

    gate_done(g);
    close_frame(r, code);
    http_end(r);
}

static void on_data(struct http_req *r, struct bytes in)
{
    struct gate *g = http_user(r);
    enum ws_event e = WS_EVENT_PART;
    struct bytes part;

    while (e != WS_EVENT_MORE && !g->over) {
        e = ws_next(&g->ws->in, &in, &part);
        switch (e) {
        case WS_EVENT_PART:
            gate_input(g, part);
            break;
        case WS_EVENT_MESSAGE:
            gate_input(g, BYTES_LIT("\n"));
            break;
        case WS_EVENT_PING:
            /* Who asks and does not listen gets no more answers. */
            if (http_queued_bytes(r) < GATEWAY_QUEUED_BYTES)
                control(r, WS_PONG, part);
            break;
        case WS_EVENT_CLOSE:
            hang_up(g, WS_NORMAL);
            return;
        case WS_EVENT_BAD:
            hang_up(g, WS_PROTOCOL_ERROR);
            return;
        case WS_EVENT_MORE:
            break;
        }
        /* There is no end of the body to wait for. */
        if (!g->over && g->input_done && g->call == NULL && g->route->kind != NET_BIDI) {
            gate_input_end(g);
            return;
        }
    }
}

/* A socket ends by a frame or with its connection. */
static void on_data_end(struct http_req *r)
{
    (void) r;
}

bool gateway_ws_begin(struct http_req *r, struct server *s)
{
    if (!bytes_eq(http_method(r), BYTES_LIT("GET")))
        refuse(r, s, 405, "Method Not Allowed\n");
    else if (!switch_protocols(r))
        refuse(r, s, 400, "Bad Request\n");
    else
        return true;
    return false;
}

void gateway_ws_read(struct http_req *r)
{
    http_read_stream(r, on_data, on_data_end);
}
