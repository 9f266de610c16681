#include "etcdctl/ctl.h"

static int del_send(struct ctl *ctl, const Etcdserverpb__DeleteRangeRequest *req,
                    int64_t timeout_ms)
{
    const Etcdserverpb__DeleteRangeResponse *resp;
    struct ketch_reply *reply;
    int status;

    if (ketch_delete_range(ctl->client, req, timeout_ms, &reply, &resp, &ctl->error) != KETCH_OK)
        return ctl_fail(ctl, CTL_ERROR);
    status = CTL_PRINT(ctl, del, resp);
    ketch_reply_free(reply);
    return status;
}

static int del_run(struct cli_call *call)
{
    Etcdserverpb__DeleteRangeRequest req;
    struct arena a;
    struct ctl ctl;
    struct err e = ERR_INIT;
    bool warn = false;
    int64_t timeout_ms = ctl_timeout_ms(call);
    int status;

    arena_init(&a, CTL_REQUEST_BYTES_MAX);
    status = kv_del_request(call, &a, &req, &warn, &e);
    if (status != CTL_OK) {
        status = cli_fail(status, "%s", e.msg);
    } else {
        if (warn)
            kv_del_wait(call);
        status = ctl_open(&ctl, call);
        if (status == CTL_OK)
            status = del_send(&ctl, &req, timeout_ms);
        status = ctl_close(&ctl, status);
    }
    arena_done(&a);
    return status;
}

const struct cli_command del_command = {
    .use = KV_DEL_USE,
    .brief = "Removes the specified key or range of keys [key, range_end)",
    .group = GROUP_KV,
    CLI_FLAGS(kv_del_flags),
    .run = del_run,
};
