/* error.c -- statuses in the words of etcd's client, and decoded replies. */
#include "client/client_int.h"

/* Of the errors that etcd's client has by name, and shows without their code. */
#define ETCD_PREFIX "etcdserver: "

void client__error(struct ketch_error *e, int code, const char *fmt, ...)
{
    va_list ap;

    ASSERT(code != KETCH_OK);
    if (e == NULL)
        return;
    e->code = code;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
}

const char *ketch_code_name(int code)
{
    return code < 0 ? NULL : grpc_code_name((unsigned) code);
}

void client__status_text(char *out, size_t out_bytes, int code, struct bytes message)
{
    const char *name = ketch_code_name(code);
    char number[32];

    snprintf(number, sizeof(number), "Code(%d)", code);
    snprintf(out, out_bytes, "rpc error: code = %s desc = %.*s", name != NULL ? name : number,
             (int) MIN(message.n, out_bytes), message.n == 0 ? "" : (const char *) message.p);
}

static bool has_a_name(struct bytes message)
{
    size_t n = sizeof ETCD_PREFIX - 1;

    return message.n > n && memcmp(message.p, ETCD_PREFIX, n) == 0 &&
           api_error_find(message) != API_OK;
}

void client__status(struct ketch_error *e, int code, struct bytes message)
{
    ASSERT(code != KETCH_OK);
    if (e == NULL)
        return;
    e->code = code;
    if (has_a_name(message))
        snprintf(e->text, sizeof(e->text), "%.*s", (int) message.n, (const char *) message.p);
    else if (code == KETCH_DEADLINE_EXCEEDED)
        snprintf(e->text, sizeof(e->text), "context deadline exceeded");
    else
        client__status_text(e->text, sizeof(e->text), code, message);
}

/* Unavailable: the system will be right back.  Internal: grpc's way of saying that a connection
 * broke in the middle of a frame.  (etcd's client, isHaltErr.) */
bool client__transient(int code)
{
    return code == GRPC_UNAVAILABLE || code == GRPC_INTERNAL;
}

struct ketch_reply *client__reply(const ProtobufCMessageDescriptor *d, struct bytes in,
                                  struct ketch_error *e)
{
    struct ketch_reply *r = mem_alloc(sizeof(*r));
    struct err why = ERR_INIT;
    int rc;

    if (r == NULL) {
        client__error(e, KETCH_E_NO_MEMORY, "out of memory");
        return NULL;
    }
    arena_init(&r->arena, CLIENT_DECODED_BYTES_MIN + in.n * CLIENT_DECODED_PER_BYTE);
    rc = wire_decode(d, in, &r->arena, &r->message, &why);
    if (rc != 0) {
        client__error(e, KETCH_E_BAD_REPLY, "the server's answer is not a %s: %s", d->short_name,
                      why.msg);
        ketch_reply_free(r);
        return NULL;
    }
    return r;
}

const ProtobufCMessage *ketch_reply_message(const struct ketch_reply *r)
{
    return r->message;
}

void ketch_reply_free(struct ketch_reply *r)
{
    if (r == NULL)
        return;
    arena_done(&r->arena);
    mem_free(r);
}
