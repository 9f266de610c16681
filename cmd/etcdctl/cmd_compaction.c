#include "cli/text.h"
#include "etcdctl/ctl.h"

static int compaction_run(struct cli_call *call)
{
    Etcdserverpb__CompactionRequest req = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    const Etcdserverpb__CompactionResponse *resp;
    struct ketch_reply *reply = NULL;
    struct err e = ERR_INIT;
    struct ctl ctl;
    int status;

    if (call->arg_count != 1)
        return cli_fail(CTL_BAD_ARGS, "compaction command needs 1 argument");
    if (text_parse_int(call->args[0], 10, &req.revision, &e) != 0)
        return cli_fail(CTL_ERROR, "%s", e.msg);
    req.physical = cli_bool(call, "physical");
    status = ctl_open(&ctl, call);
    if (status == CTL_OK && ketch_compact(ctl.client, &req, ctl_timeout_ms(call), &reply, &resp,
                                          &ctl.error) != KETCH_OK)
        status = ctl_fail(&ctl, CTL_ERROR);
    if (status == CTL_OK)
        buf_printf(&ctl.out, "compacted revision %" PRId64 "\n", req.revision);
    ketch_reply_free(reply);
    return ctl_close(&ctl, status);
}

static const struct cli_flag compaction_flags[] = {
    {.name = "physical",
     .type = CLI_BOOL,
     .help = "'true' to wait for compaction to physically remove all old revisions"},
};

const struct cli_command compaction_command = {
    .use = "compaction [options] <revision>",
    .brief = "Compacts the event history in etcd",
    .group = GROUP_KV,
    CLI_FLAGS(compaction_flags),
    .run = compaction_run,
};
