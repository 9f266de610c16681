#include "etcdctl/ctl.h"
#include "wire/api_error.h"

static int check_no_args(const struct cli_call *call, const char *what)
{
    if (call->arg_count == 0)
        return CTL_OK;
    return cli_fail(CTL_BAD_ARGS, "auth %s command does not accept any arguments", what);
}

/* One step without an answer worth showing. */
static bool step(struct ctl *ctl, enum ketch_method m, const ProtobufCMessage *request,
                 int64_t timeout_ms)
{
    struct ketch_reply *reply = NULL;
    int rc = ketch_invoke(ctl->client, m, request, timeout_ms, &reply, &ctl->error);

    ketch_reply_free(reply);
    return rc == KETCH_OK;
}

static bool give_root_its_role(struct ctl *ctl, int64_t timeout_ms)
{
    Etcdserverpb__AuthRoleAddRequest add = ETCDSERVERPB__AUTH_ROLE_ADD_REQUEST__INIT;
    Etcdserverpb__AuthUserGrantRoleRequest grant = ETCDSERVERPB__AUTH_USER_GRANT_ROLE_REQUEST__INIT;
    char root[] = "root";

    add.name = root;
    grant.user = root;
    grant.role = root;
    return step(ctl, KETCH_METHOD_role_add, &add.base, timeout_ms) &&
           step(ctl, KETCH_METHOD_user_grant_role, &grant.base, timeout_ms);
}

static bool enable(struct ctl *ctl, int64_t timeout_ms)
{
    Etcdserverpb__AuthEnableRequest req = ETCDSERVERPB__AUTH_ENABLE_REQUEST__INIT;

    if (step(ctl, KETCH_METHOD_auth_enable, &req.base, timeout_ms))
        return true;
    return strcmp(ctl->error.text, api_error_text(API_ROOT_ROLE_NOT_EXIST)) == 0 &&
           give_root_its_role(ctl, timeout_ms) &&
           step(ctl, KETCH_METHOD_auth_enable, &req.base, timeout_ms);
}

static bool disable(struct ctl *ctl, int64_t timeout_ms)
{
    Etcdserverpb__AuthDisableRequest req = ETCDSERVERPB__AUTH_DISABLE_REQUEST__INIT;

    return step(ctl, KETCH_METHOD_auth_disable, &req.base, timeout_ms);
}

static int turn(struct cli_call *call, const char *what, bool (*act)(struct ctl *ctl, int64_t ms),
                const char *done)
{
    struct ctl ctl;
    int64_t timeout_ms = ctl_timeout_ms(call);
    int status = check_no_args(call, what);

    if (status != CTL_OK)
        return status;
    status = ctl_open(&ctl, call);
    if (status == CTL_OK && act(&ctl, timeout_ms))
        buf_printf(&ctl.out, "%s\n", done);
    else if (status == CTL_OK)
        status = ctl_fail(&ctl, CTL_ERROR);
    return ctl_close(&ctl, status);
}

static int enable_run(struct cli_call *call)
{
    return turn(call, "enable", enable, "Authentication Enabled");
}

static int disable_run(struct cli_call *call)
{
    return turn(call, "disable", disable, "Authentication Disabled");
}

CTL_PRINT_FN(print_status, auth_status, AuthStatusResponse)

static int status_run(struct cli_call *call)
{
    Etcdserverpb__AuthStatusRequest req = ETCDSERVERPB__AUTH_STATUS_REQUEST__INIT;
    int64_t timeout_ms = ctl_timeout_ms(call);
    int status = check_no_args(call, "status");

    if (status != CTL_OK)
        return status;
    return ctl_ask(call, KETCH_METHOD_auth_status, &req.base, timeout_ms, CTL_ERROR, print_status);
}

static const struct cli_command enable_command = {
    .use = "enable",
    .brief = "Enables authentication",
    .about =
        "From now on every request needs a user. The user root must exist; when it has no role\n"
        "root yet, it is given that.",
    .run = enable_run};
static const struct cli_command disable_command = {
    .use = "disable",
    .brief = "Disables authentication",
    .about = "From now on everybody may do everything. Users and roles are kept.",
    .run = disable_run};
static const struct cli_command status_command = {
    .use = "status", .brief = "Shows whether authentication is enabled", .run = status_run};
static const struct cli_command *const auth_commands[] = {&enable_command, &disable_command,
                                                          &status_command};

const struct cli_command auth_command = {
    .use = "auth <enable or disable>",
    .brief = "Enables or disables authentication; see `etcdctl auth --help`",
    .about = "Enables or disables authentication, or shows which it is.",
    .group = GROUP_AUTH,
    CLI_SUBS(auth_commands),
};
