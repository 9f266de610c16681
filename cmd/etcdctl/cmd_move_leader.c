#include "cli/text.h"
#include "etcdctl/ctl.h"

/* The member that leads according to an endpoint, when it is the endpoint's own; else 0. */
static int leader_at(struct ctl *ctl, const char *endpoint, int64_t timeout_ms, uint64_t *ret)
{
    Etcdserverpb__StatusRequest req = ETCDSERVERPB__STATUS_REQUEST__INIT;
    const Etcdserverpb__StatusResponse *resp;
    struct ketch_reply *reply = NULL;
    int status = ctl_connect(ctl, &endpoint, 1, NULL, &ctl->client);

    *ret = 0;
    if (status != CTL_OK)
        return status;
    if (ketch_status(ctl->client, &req, timeout_ms, &reply, &resp, &ctl->error) != KETCH_OK)
        return ctl_fail(ctl, CTL_ERROR);
    if (resp->header != NULL && resp->header->member_id == resp->leader)
        *ret = resp->leader;
    ketch_reply_free(reply);
    return CTL_OK;
}

/* Leaves ctl->client connected to the leader. */
static int find_leader(struct ctl *ctl, int64_t timeout_ms, uint64_t *ret)
{
    struct buf b;
    int status = CTL_OK;

    for (size_t i = 0; i < ctl->endpoint_count; i++) {
        status = leader_at(ctl, ctl->endpoints[i], timeout_ms, ret);
        if (status != CTL_OK || *ret != 0)
            return status;
        ketch_close(ctl->client);
        ctl->client = NULL;
    }
    buf_init(&b, CLI_PAGE_BYTES_MAX);
    for (size_t i = 0; i < ctl->endpoint_count; i++)
        buf_printf(&b, "%s%s", i == 0 ? "" : " ", ctl->endpoints[i]);
    status = cli_fail(CTL_BAD_ARGS, "no leader endpoint given at [%s]", buf_cstr(&b));
    buf_done(&b);
    return status;
}

static int move_leader_run(struct cli_call *call)
{
    Etcdserverpb__MoveLeaderRequest req = ETCDSERVERPB__MOVE_LEADER_REQUEST__INIT;
    const Etcdserverpb__MoveLeaderResponse *resp;
    struct ketch_reply *reply = NULL;
    struct err e = ERR_INIT;
    struct ctl ctl;
    uint64_t leader = 0;
    int status;

    if (call->arg_count != 1)
        return cli_fail(CTL_BAD_ARGS, "move-leader command needs 1 argument");
    if (text_parse_uint(call->args[0], 16, &req.targetid, &e) != 0)
        return cli_fail(CTL_BAD_ARGS, "%s", e.msg);
    status = ctl_init(&ctl, call);
    if (status == CTL_OK)
        status = find_leader(&ctl, ctl_timeout_ms(call), &leader);
    ctl.what.member_id = leader;
    ctl.what.target_id = req.targetid;
    if (status == CTL_OK && ketch_move_leader(ctl.client, &req, ctl_timeout_ms(call), &reply, &resp,
                                              &ctl.error) != KETCH_OK)
        status = ctl_fail(&ctl, CTL_ERROR);
    else if (status == CTL_OK)
        status = CTL_PRINT(&ctl, move_leader, resp);
    ketch_reply_free(reply);
    return ctl_close(&ctl, status);
}

const struct cli_command move_leader_command = {
    .use = "move-leader <transferee-member-id>",
    .brief = "Transfers leadership to another etcd cluster member",
    .group = GROUP_CLUSTER,
    .run = move_leader_run,
};
