#include "etcdctl/ctl.h"

static int put_send(struct ctl *ctl, const Etcdserverpb__PutRequest *req, int64_t timeout_ms)
{
    const Etcdserverpb__PutResponse *resp;
    struct ketch_reply *reply;
    int status;

    if (ketch_put(ctl->client, req, timeout_ms, &reply, &resp, &ctl->error) != KETCH_OK)
        return ctl_fail(ctl, CTL_ERROR);
    status = CTL_PRINT(ctl, put, resp);
    ketch_reply_free(reply);
    return status;
}

static int put_run(struct cli_call *call)
{
    Etcdserverpb__PutRequest req;
    struct ctl_input in;
    struct arena a;
    struct ctl ctl;
    struct err e = ERR_INIT;
    int64_t timeout_ms = ctl_timeout_ms(call); /* before the environment is read, as etcdctl */
    int status;

    ctl_input_init(&in);
    arena_init(&a, CTL_REQUEST_BYTES_MAX);
    status = kv_put_request(call, &in.kv, &a, &req, &e);
    if (status != CTL_OK) {
        status = cli_fail(status, "%s", e.msg);
    } else {
        status = ctl_open(&ctl, call);
        if (status == CTL_OK)
            status = put_send(&ctl, &req, timeout_ms);
        status = ctl_close(&ctl, status);
    }
    arena_done(&a);
    ctl_input_done(&in);
    return status;
}

const struct cli_command put_command = {
    .use = KV_PUT_USE,
    .brief = "Puts the given key into the store",
    .about = "Stores a value under a key. Without a value on the command line, all of standard\n"
             "input becomes the value, byte for byte.\n"
             "\n"
             "A value that begins with a dash goes behind --:\n"
             "  etcdctl put <key> -- <value>",
    .group = GROUP_KV,
    CLI_FLAGS(kv_put_flags),
    .run = put_run,
};
