#include "etcdctl/ctl.h"

enum action {
    VALIDATE = ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__VALIDATE,
    ENABLE = ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__ENABLE,
    CANCEL = ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__CANCEL,
};

static int downgrade(struct cli_call *call, enum action action, const char *name)
{
    Etcdserverpb__DowngradeRequest req = ETCDSERVERPB__DOWNGRADE_REQUEST__INIT;
    const Etcdserverpb__DowngradeResponse *resp;
    struct ketch_reply *reply = NULL;
    struct ctl ctl;
    int64_t timeout_ms = ctl_timeout_ms(call);
    int status = ctl_open(&ctl, call);

    req.action = (Etcdserverpb__DowngradeRequest__DowngradeAction) action;
    if (action != CANCEL)
        req.version = (char *) (uintptr_t) call->args[0];
    ctl.what.action = name;
    if (status == CTL_OK &&
        ketch_downgrade(ctl.client, &req, timeout_ms, &reply, &resp, &ctl.error) != KETCH_OK)
        status = ctl_fail(&ctl, CTL_ERROR);
    else if (status == CTL_OK)
        status = CTL_PRINT(&ctl, downgrade, resp);
    ketch_reply_free(reply);
    return ctl_close(&ctl, status);
}

static int with_target(struct cli_call *call, enum action action, const char *name)
{
    if (call->arg_count < 1)
        return cli_fail(CTL_BAD_ARGS, "TARGET_VERSION not provided");
    if (call->arg_count > 1)
        return cli_fail(CTL_BAD_ARGS, "too many arguments");
    if (call->args[0][0] == '\0')
        return cli_fail(CTL_BAD_ARGS, "target version not provided");
    return downgrade(call, action, name);
}

static int validate_run(struct cli_call *call)
{
    return with_target(call, VALIDATE, "validate");
}

static int enable_run(struct cli_call *call)
{
    return with_target(call, ENABLE, "enable");
}

static int cancel_run(struct cli_call *call)
{
    return downgrade(call, CANCEL, "cancel");
}

static const struct cli_command validate_command = {
    .use = "validate <TARGET_VERSION>",
    .brief = "Validate downgrade capability before starting downgrade",
    .run = validate_run};
static const struct cli_command enable_command = {.use = "enable <TARGET_VERSION>",
                                                  .brief = "Start a downgrade action to cluster",
                                                  .run = enable_run};
static const struct cli_command cancel_command = {
    .use = "cancel", .brief = "Cancel the ongoing downgrade action to cluster", .run = cancel_run};
static const struct cli_command *const downgrade_commands[] = {&cancel_command, &enable_command,
                                                               &validate_command};

const struct cli_command downgrade_command = {
    .use = "downgrade",
    .brief = "Downgrade related commands",
    .group = GROUP_CLUSTER,
    CLI_SUBS(downgrade_commands),
};
