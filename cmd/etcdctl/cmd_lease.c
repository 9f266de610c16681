#include "cli/text.h"
#include "etcdctl/ctl.h"

/* ---- grant, revoke ---- */

static int grant_run(struct cli_call *call)
{
    Etcdserverpb__LeaseGrantRequest req = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    const Etcdserverpb__LeaseGrantResponse *resp;
    struct ketch_reply *reply = NULL;
    struct err e = ERR_INIT;
    struct ctl ctl;
    int64_t timeout_ms = ctl_timeout_ms(call);
    int status;

    if (call->arg_count != 1)
        return cli_fail(CTL_BAD_ARGS, "lease grant command needs TTL argument");
    if (text_parse_int(call->args[0], 10, &req.ttl, &e) != 0)
        return cli_fail(CTL_BAD_ARGS, "bad TTL (%s)", e.msg);
    status = ctl_open(&ctl, call);
    if (status == CTL_OK &&
        ketch_lease_grant(ctl.client, &req, timeout_ms, &reply, &resp, &ctl.error) != KETCH_OK)
        status = cli_fail(CTL_ERROR, "failed to grant lease (%s)", ctl.error.text);
    else if (status == CTL_OK)
        status = CTL_PRINT(&ctl, grant, resp);
    ketch_reply_free(reply);
    return ctl_close(&ctl, status);
}

/* The lease that the first argument names. */
static int lease_arg(const struct cli_call *call, int64_t *ret)
{
    struct err e = ERR_INIT;

    if (kv_parse_lease(call->args[0], ret, &e) != 0)
        return cli_fail(CTL_BAD_ARGS, "bad lease ID arg (%s), expecting ID in Hex", e.msg);
    return CTL_OK;
}

static int revoke_run(struct cli_call *call)
{
    Etcdserverpb__LeaseRevokeRequest req = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    const Etcdserverpb__LeaseRevokeResponse *resp;
    struct ketch_reply *reply = NULL;
    struct ctl ctl;
    int64_t timeout_ms = ctl_timeout_ms(call);
    int status;

    if (call->arg_count != 1)
        return cli_fail(CTL_BAD_ARGS, "lease revoke command needs 1 argument");
    status = lease_arg(call, &req.id);
    if (status != CTL_OK)
        return status;
    status = ctl_open(&ctl, call);
    ctl.what.lease_id = req.id;
    if (status == CTL_OK &&
        ketch_lease_revoke(ctl.client, &req, timeout_ms, &reply, &resp, &ctl.error) != KETCH_OK)
        status = cli_fail(CTL_ERROR, "failed to revoke lease (%s)", ctl.error.text);
    else if (status == CTL_OK && ctl.how.printer == &printer_protobuf)
        status = cli_fail(CTL_BAD_FEATURE,
                          "marshal unsupported for type *clientv3.LeaseRevokeResponse");
    else if (status == CTL_OK)
        status = CTL_PRINT(&ctl, revoke, resp);
    ketch_reply_free(reply);
    return ctl_close(&ctl, status);
}

/* ---- timetolive, list ---- */

static int time_to_live_run(struct cli_call *call)
{
    Etcdserverpb__LeaseTimeToLiveRequest req = ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    const Etcdserverpb__LeaseTimeToLiveResponse *resp;
    struct ketch_reply *reply = NULL;
    struct ctl ctl;
    int status;

    if (call->arg_count != 1)
        return cli_fail(CTL_BAD_ARGS, "lease timetolive command needs lease ID as argument");
    status = lease_arg(call, &req.id);
    if (status != CTL_OK)
        return status;
    req.keys = cli_bool(call, "keys");
    status = ctl_open(&ctl, call);
    ctl.how.with_keys = req.keys;
    if (status == CTL_OK &&
        ketch_lease_time_to_live(ctl.client, &req, 0, &reply, &resp, &ctl.error) != KETCH_OK)
        status = ctl_fail(&ctl, CTL_BAD_CONNECTION);
    else if (status == CTL_OK)
        status = CTL_PRINT(&ctl, time_to_live, resp);
    ketch_reply_free(reply);
    return ctl_close(&ctl, status);
}

CTL_PRINT_FN(print_list, leases, LeaseLeasesResponse)

static int list_run(struct cli_call *call)
{
    Etcdserverpb__LeaseLeasesRequest req = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;

    return ctl_ask(call, KETCH_METHOD_lease_leases, &req.base, 0, CTL_BAD_CONNECTION, print_list);
}

/* ---- keep-alive ---- */

struct keeping {
    struct ctl *ctl;
    struct ketch_keep_alive *keep;
    int64_t id;
    int status;
};

static void on_renewal(const Etcdserverpb__LeaseKeepAliveResponse *r, const struct ketch_error *e,
                       void *user)
{
    struct keeping *k = user;

    (void) e; /* however the lease was lost, it is gone */
    if (r != NULL) {
        k->status = CTL_PRINT(k->ctl, keep_alive, r);
        if (k->status != CTL_OK)
            ketch_keep_alive_stop(k->keep);
        if (k->status == CTL_OK)
            return;
    } else if (k->ctl->how.printer == &printer_simple) {
        buf_add_str(&k->ctl->out, "lease ");
        text_lease_id(&k->ctl->out, k->id);
        buf_add_str(&k->ctl->out, " expired or revoked.\n");
    }
    ketch_stop(k->ctl->client);
}

static int keep_alive_forever(struct ctl *ctl, int64_t id)
{
    struct keeping k = {.ctl = ctl, .id = id, .status = CTL_OK};

    k.keep = ketch_keep_alive(ctl->client, id, on_renewal, &k);
    if (k.keep == NULL)
        return cli_fail(CTL_BAD_CONNECTION, "out of memory");
    ketch_run(ctl->client);
    return k.status;
}

static int keep_alive_once(struct ctl *ctl, int64_t id)
{
    const Etcdserverpb__LeaseKeepAliveResponse *resp;
    struct ketch_reply *reply;
    int status;

    if (ketch_keep_alive_once(ctl->client, id, &reply, &resp, &ctl->error) != KETCH_OK)
        return ctl_fail(ctl, CTL_BAD_CONNECTION);
    status = CTL_PRINT(ctl, keep_alive, resp);
    ketch_reply_free(reply);
    return status;
}

static int keep_alive_run(struct cli_call *call)
{
    struct ctl ctl;
    int64_t id;
    int status;

    if (call->arg_count != 1)
        return cli_fail(CTL_BAD_ARGS, "lease keep-alive command needs lease ID as argument");
    status = lease_arg(call, &id);
    if (status != CTL_OK)
        return status;
    status = ctl_open(&ctl, call);
    if (status == CTL_OK)
        status = cli_bool(call, "once") ? keep_alive_once(&ctl, id) : keep_alive_forever(&ctl, id);
    return ctl_close(&ctl, status);
}

/* ---- the tree ---- */

static const struct cli_command grant_command = {
    .use = "grant <ttl>", .brief = "Creates leases", .run = grant_run};
static const struct cli_command revoke_command = {
    .use = "revoke <leaseID>", .brief = "Revokes leases", .run = revoke_run};

static const struct cli_flag time_to_live_flags[] = {
    {.name = "keys", .type = CLI_BOOL, .help = "list the keys attached to the lease"},
};
static const struct cli_command time_to_live_command = {
    .use = "timetolive <leaseID> [options]",
    .brief = "Get lease information",
    CLI_FLAGS(time_to_live_flags),
    .run = time_to_live_run,
};
static const struct cli_command list_command = {
    .use = "list", .brief = "List all active leases", .run = list_run};

static const struct cli_flag keep_alive_flags[] = {
    {.name = "once", .type = CLI_BOOL, .help = "renew the lease once and exit"},
};
static const struct cli_command keep_alive_command = {
    .use = "keep-alive [options] <leaseID>",
    .brief = "Keeps leases alive (renew)",
    CLI_FLAGS(keep_alive_flags),
    .run = keep_alive_run,
};

static const struct cli_command *const lease_commands[] = {
    &grant_command, &revoke_command, &time_to_live_command, &list_command, &keep_alive_command};

const struct cli_command lease_command = {
    .use = "lease",
    .brief = "Lease related commands",
    .group = GROUP_KV,
    CLI_SUBS(lease_commands),
};
