/* forward.c -- a client's unary call: its bytes go to a member, the answer's bytes come back. */
#include "edge/proxy/proxy_int.h"

struct forward {
    struct ask ask;
    struct call *call;
    ns_map *response_map; /* NULL: the answer goes through as it is */
    struct rpc_metadata metadata[PROXY_METADATA_MAX];
};

size_t proxy__metadata(const struct call *c, struct rpc_metadata ret[PROXY_METADATA_MAX])
{
    static const char *const names[] = {"token", "authorization", "hasleader",
                                        "client-api-version"};
    size_t n = 0;

    _Static_assert(ARRAY_LEN(names) == PROXY_METADATA_MAX, "room for each");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ret[n].name = names[i];
        n += call_metadata(c, names[i], &ret[n].value);
    }
    return n;
}

bool proxy__request(struct proxy *p, const char *path, struct bytes in, struct arena *a,
                    struct bytes *ret, int *ret_code, const char **ret_text)
{
    ns_map *map = p->prefix.n == 0 ? NULL : ns_request_map(path);
    enum ns_verdict v = NS_OK;
    struct buf out;

    *ret = in;
    if (map == NULL)
        return true;
    buf_init(&out, PROXY_CALL_BYTES_MAX);
    v = map(p->prefix, in, a, &out);
    if (v == NS_OK) {
        ret->p = arena_dup(a, out.p, out.len);
        ret->n = out.len;
    }
    buf_done(&out);
    if (v == NS_OK && ret->p != NULL)
        return true;
    *ret_code = v == NS_EMPTY_KEY   ? GRPC_INVALID_ARGUMENT
                : v == NS_MALFORMED ? GRPC_INTERNAL
                                    : GRPC_RESOURCE_EXHAUSTED;
    *ret_text = v == NS_EMPTY_KEY   ? api_error_text(API_EMPTY_KEY)
                : v == NS_MALFORMED ? "grpc: error unmarshalling request: the message is malformed"
                                    : "out of memory";
    return false;
}

bool proxy__response(struct proxy *p, ns_map *map, struct bytes in, struct buf *out,
                     struct bytes *ret)
{
    struct arena a;
    enum ns_verdict v;

    buf_init(out, SIZE_MAX);
    *ret = in;
    if (map == NULL)
        return true;
    arena_init(&a, in.n * PROXY_DECODED_PER_BYTE + PROXY_DECODED_BYTES_MIN);
    v = map(p->prefix, in, &a, out);
    arena_done(&a);
    *ret = buf_bytes(out);
    return v == NS_OK;
}

/* Ends the call with a status whose text may not end in NUL. */
static void finish(struct call *c, int code, struct bytes message)
{
    char *text = arena_printf(call_arena(c), "%.*s", (int) MIN(message.n, (size_t) INT_MAX),
                              (const char *) message.p);

    call_finish(c, code, text);
}

static void on_done(struct ask *a, int code, struct bytes message, struct bytes response)
{
    struct forward *f = CONTAINER_OF(a, struct forward, ask);
    struct net_piece piece;
    struct buf out;

    if (code != GRPC_OK) {
        finish(f->call, code, message);
        return;
    }
    if (proxy__response(call_service(f->call), f->response_map, response, &out, &response)) {
        piece = net_piece_copied(response.p, response.n);
        call_reply(f->call, &piece, 1);
    } else {
        call_finish(f->call, GRPC_INTERNAL, "the answer of the member cannot be read");
    }
    buf_done(&out);
}

static void on_cancel(struct call *c, enum call_cancel_reason why)
{
    struct forward *f = call_user(c);

    (void) why;
    ask_cancel(&f->ask);
}

static bool is_too_large(struct call *c, const struct proxy *p, size_t n)
{
    char text[128];

    if (n <= p->options.request_bytes_max)
        return false;
    snprintf(text, sizeof text, "trying to send message larger than max (%zu vs. %zu)", n,
             p->options.request_bytes_max);
    call_finish(c, GRPC_RESOURCE_EXHAUSTED, text);
    return true;
}

void forward__request(struct call *c, struct bytes message)
{
    struct proxy *p = call_service(c);
    const char *path = call_method(c)->path, *text;
    struct forward *f;
    int code;

    if (is_too_large(c, p, message.n))
        return;
    f = arena_calloc(call_arena(c), 1, sizeof *f);
    if (f == NULL) {
        call_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    if (!proxy__request(p, path, message, call_arena(c), &message, &code, &text)) {
        call_finish(c, code, text);
        return;
    }
    f->call = c;
    f->response_map = p->prefix.n == 0 ? NULL : ns_response_map(path);
    f->ask = (struct ask){
        .up = p->up,
        .loop = p->loop,
        .path = path,
        .request = message,
        .metadata = f->metadata,
        .metadata_n = proxy__metadata(c, f->metadata),
        .deadline_ns = call_deadline_ns(c),
        .repeatable = methods__of(c)->repeatable,
        .done = on_done,
    };
    call_set_user(c, f);
    call_on_cancel(c, on_cancel);
    ask_start(&f->ask);
}
