/* forward.c -- a client's unary call: its bytes go to a member, the answer's bytes come back. */
#include "edge/proxy/proxy_int.h"

struct forward {
    struct ask ask;
    struct call *call;
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
    struct net_piece piece = net_piece_copied(response.p, response.n);

    if (code == GRPC_OK)
        call_reply(f->call, &piece, 1);
    else
        finish(f->call, code, message);
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
    struct forward *f;

    if (is_too_large(c, p, message.n))
        return;
    f = arena_calloc(call_arena(c), 1, sizeof *f);
    if (f == NULL) {
        call_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    f->call = c;
    f->ask = (struct ask){
        .up = p->up,
        .loop = p->loop,
        .path = call_method(c)->path,
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
