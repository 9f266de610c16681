#include "base/alloc.h"
#include "etcdctl/ctl.h"

#define ALARMS_MAX 1024 /* members times kinds of alarm, with room */

CTL_PRINT_FN(print_list, alarm, AlarmResponse)

static int list_run(struct cli_call *call)
{
    Etcdserverpb__AlarmRequest req = ETCDSERVERPB__ALARM_REQUEST__INIT;

    if (call->arg_count != 0)
        return cli_fail(CTL_BAD_ARGS, "alarm list command accepts no arguments");
    return ctl_ask(call, KETCH_METHOD_alarm, &req.base, ctl_timeout_ms(call), CTL_ERROR,
                   print_list);
}

/* The alarms of all replies, in one answer without header: what etcdctl shows. */
struct disarmed {
    Etcdserverpb__AlarmResponse all;
    struct ketch_reply *replies[ALARMS_MAX + 1];
    size_t reply_count;
    Etcdserverpb__AlarmMember *alarms[ALARMS_MAX];
};

static int alarm_call(struct ctl *ctl, const Etcdserverpb__AlarmRequest *req, int64_t timeout_ms,
                      struct ketch_reply **ret, const Etcdserverpb__AlarmResponse **ret_response)
{
    if (ketch_alarm(ctl->client, req, timeout_ms, ret, ret_response, &ctl->error) != KETCH_OK)
        return ctl_fail(ctl, CTL_ERROR);
    return CTL_OK;
}

static int disarm_one(struct ctl *ctl, const Etcdserverpb__AlarmMember *m, int64_t timeout_ms,
                      struct disarmed *d)
{
    Etcdserverpb__AlarmRequest req = ETCDSERVERPB__ALARM_REQUEST__INIT;
    const Etcdserverpb__AlarmResponse *resp;
    int status;

    req.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE;
    req.memberid = m->memberid;
    req.alarm = m->alarm;
    status = alarm_call(ctl, &req, timeout_ms, &d->replies[d->reply_count], &resp);
    if (status != CTL_OK)
        return status;
    d->reply_count++;
    for (size_t i = 0; i < resp->n_alarms && d->all.n_alarms < ALARMS_MAX; i++)
        d->alarms[d->all.n_alarms++] = resp->alarms[i];
    return CTL_OK;
}

static int disarm_all(struct ctl *ctl, int64_t timeout_ms, struct disarmed *d)
{
    Etcdserverpb__AlarmRequest req = ETCDSERVERPB__ALARM_REQUEST__INIT;
    const Etcdserverpb__AlarmResponse *resp;
    struct ketch_reply *list = NULL;
    int status = alarm_call(ctl, &req, timeout_ms, &list, &resp);

    for (size_t i = 0; status == CTL_OK && i < resp->n_alarms && i < ALARMS_MAX; i++)
        status = disarm_one(ctl, resp->alarms[i], timeout_ms, d);
    ketch_reply_free(list);
    return status;
}

static int disarm_run(struct cli_call *call)
{
    struct disarmed *d;
    struct ctl ctl;
    int64_t timeout_ms = ctl_timeout_ms(call);
    int status;

    if (call->arg_count != 0)
        return cli_fail(CTL_BAD_ARGS, "alarm disarm command accepts no arguments");
    d = xmem_calloc(1, sizeof(*d));
    d->all = (Etcdserverpb__AlarmResponse) ETCDSERVERPB__ALARM_RESPONSE__INIT;
    d->all.alarms = d->alarms;
    status = ctl_open(&ctl, call);
    if (status == CTL_OK)
        status = disarm_all(&ctl, timeout_ms, d);
    if (status == CTL_OK)
        status = CTL_PRINT(&ctl, alarm, &d->all);
    for (size_t i = 0; i < d->reply_count; i++)
        ketch_reply_free(d->replies[i]);
    mem_free(d);
    return ctl_close(&ctl, status);
}

static const struct cli_command disarm_command = {
    .use = "disarm", .brief = "Disarms all alarms", .run = disarm_run};
static const struct cli_command list_command = {
    .use = "list", .brief = "Lists all alarms", .run = list_run};
static const struct cli_command *const alarm_commands[] = {&disarm_command, &list_command};

const struct cli_command alarm_command = {
    .use = "alarm",
    .brief = "Alarm related commands",
    .group = GROUP_CLUSTER,
    CLI_SUBS(alarm_commands),
};
