/* invoke.c -- a unary call that is waited for: the loop runs until it is done. */
#include "client/client_int.h"

struct blocking {
    bool done;
    struct ketch_reply *reply;
    struct ketch_error error;
};

static void on_blocking_done(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct blocking *b = user;

    b->reply = reply;
    b->error = *e;
    b->done = true;
}

int ketch_invoke(struct ketch_client *c, enum ketch_method m, const ProtobufCMessage *request,
                 int64_t timeout_ms, struct ketch_reply **ret, struct ketch_error *e)
{
    struct blocking b = {0};

    *ret = NULL;
    if (ketch_start(c, m, request, timeout_ms, on_blocking_done, &b) == NULL) {
        client__error(e, KETCH_E_NO_MEMORY, "out of memory");
        return KETCH_E_NO_MEMORY;
    }
    loop_run_until(client_loop(c), &b.done);
    *ret = b.reply;
    if (e != NULL)
        *e = b.error;
    return b.error.code;
}
