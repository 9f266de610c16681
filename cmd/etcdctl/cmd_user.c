#include "cli/identity.h"
#include "etcdctl/ctl.h"

/* ---- add, delete, passwd ---- */

static const char name_missing[] = "user %s command requires user name as its argument";

/* From standard input, as --interactive says. */
static int typed_password(struct cli_call *call, const char *user, char **ret)
{
    struct buf password;
    struct err e = ERR_INIT;
    int status = CTL_OK;

    buf_init(&password, CLI_PAGE_BYTES_MAX);
    if (!cli_bool(call, "interactive"))
        cli_read_password(&password);
    else if (cli_ask_new_password(user, &password, &e) != 0)
        status = cli_fail(CTL_BAD_ARGS, "%s", e.msg);
    *ret = ctl_field(call, buf_cstr(&password));
    buf_done(&password);
    return status;
}

/* NAME or NAME:PASSWORD. */
static int split_user(struct cli_call *call, char **ret_user, char **ret_password)
{
    char *user = ctl_field(call, call->args[0]);
    char *colon = strchr(user, ':');

    *ret_user = user;
    if (colon == NULL)
        return typed_password(call, user, ret_password);
    *colon = 0;
    *ret_password = colon + 1;
    if (user[0] == 0)
        return cli_fail(CTL_BAD_ARGS, "empty user name is not allowed");
    return CTL_OK;
}

static int add_run(struct cli_call *call)
{
    Etcdserverpb__AuthUserAddRequest req = ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;
    Authpb__UserAddOptions options = AUTHPB__USER_ADD_OPTIONS__INIT;
    int status = CTL_OK;

    if (call->arg_count != 1)
        return cli_fail(CTL_BAD_ARGS, name_missing, "add");
    options.no_password = cli_bool(call, "no-password");
    req.options = &options;
    req.name = ctl_field(call, call->args[0]);
    if (!options.no_password && cli_string(call, "new-user-password")[0] != 0)
        req.password = ctl_field(call, cli_string(call, "new-user-password"));
    else if (!options.no_password)
        status = split_user(call, &req.name, &req.password);
    if (status != CTL_OK)
        return status;
    return ctl_change(call, KETCH_METHOD_user_add, &req.base, 0,
                      CTL_LINE(call, "User %s created", req.name));
}

static int delete_run(struct cli_call *call)
{
    Etcdserverpb__AuthUserDeleteRequest req = ETCDSERVERPB__AUTH_USER_DELETE_REQUEST__INIT;

    if (call->arg_count != 1)
        return cli_fail(CTL_BAD_ARGS, name_missing, "delete");
    req.name = ctl_field(call, call->args[0]);
    return ctl_change(call, KETCH_METHOD_user_delete, &req.base, 0,
                      CTL_LINE(call, "User %s deleted", req.name));
}

static int passwd_run(struct cli_call *call)
{
    Etcdserverpb__AuthUserChangePasswordRequest req =
        ETCDSERVERPB__AUTH_USER_CHANGE_PASSWORD_REQUEST__INIT;
    int status;

    if (call->arg_count != 1)
        return cli_fail(CTL_BAD_ARGS, name_missing, "passwd");
    req.name = ctl_field(call, call->args[0]);
    status = typed_password(call, req.name, &req.password);
    if (status != CTL_OK)
        return status;
    return ctl_change(call, KETCH_METHOD_user_change_password, &req.base, 0, "Password updated");
}

/* ---- get, list ---- */

static int show_roles(struct ctl *ctl, const Etcdserverpb__AuthUserGetResponse *r)
{
    int status = CTL_OK;

    buf_printf(&ctl->out, "User: %s\n", ctl->what.name);
    for (size_t i = 0; status == CTL_OK && i < r->n_roles; i++) {
        buf_add_char(&ctl->out, '\n');
        status = role_show(ctl, r->roles[i]);
    }
    return status;
}

static int get_run(struct cli_call *call)
{
    Etcdserverpb__AuthUserGetRequest req = ETCDSERVERPB__AUTH_USER_GET_REQUEST__INIT;
    const Etcdserverpb__AuthUserGetResponse *resp;
    struct ketch_reply *reply = NULL;
    struct ctl ctl;
    int status;

    if (call->arg_count != 1)
        return cli_fail(CTL_BAD_ARGS, name_missing, "get");
    req.name = ctl_field(call, call->args[0]);
    status = ctl_open(&ctl, call);
    ctl.what.name = req.name;
    if (status == CTL_OK &&
        ketch_user_get(ctl.client, &req, 0, &reply, &resp, &ctl.error) != KETCH_OK)
        status = ctl_fail(&ctl, CTL_ERROR);
    else if (status == CTL_OK)
        status = cli_bool(call, "detail") ? show_roles(&ctl, resp)
                                          : CTL_PRINT(&ctl, user_get, resp);
    ketch_reply_free(reply);
    return ctl_close(&ctl, status);
}

CTL_PRINT_FN(print_list, user_list, AuthUserListResponse)

static int list_run(struct cli_call *call)
{
    Etcdserverpb__AuthUserListRequest req = ETCDSERVERPB__AUTH_USER_LIST_REQUEST__INIT;

    if (call->arg_count != 0)
        return cli_fail(CTL_BAD_ARGS, "user list command requires no arguments");
    return ctl_ask(call, KETCH_METHOD_user_list, &req.base, 0, CTL_ERROR, print_list);
}

/* ---- roles of a user ---- */

static int grant_run(struct cli_call *call)
{
    Etcdserverpb__AuthUserGrantRoleRequest req = ETCDSERVERPB__AUTH_USER_GRANT_ROLE_REQUEST__INIT;

    if (call->arg_count != 2)
        return cli_fail(CTL_BAD_ARGS,
                        "user grant command requires user name and role name as its argument");
    req.user = ctl_field(call, call->args[0]);
    req.role = ctl_field(call, call->args[1]);
    return ctl_change(call, KETCH_METHOD_user_grant_role, &req.base, 0,
                      CTL_LINE(call, "Role %s is granted to user %s", req.role, req.user));
}

static int revoke_run(struct cli_call *call)
{
    Etcdserverpb__AuthUserRevokeRoleRequest req = ETCDSERVERPB__AUTH_USER_REVOKE_ROLE_REQUEST__INIT;

    if (call->arg_count != 2)
        return cli_fail(CTL_BAD_ARGS,
                        "user revoke-role requires user name and role name as its argument");
    req.name = ctl_field(call, call->args[0]);
    req.role = ctl_field(call, call->args[1]);
    return ctl_change(call, KETCH_METHOD_user_revoke_role, &req.base, 0,
                      CTL_LINE(call, "Role %s is revoked from user %s", req.role, req.name));
}

/* ---- the tree ---- */

static const struct cli_flag add_flags[] = {
    {.name = "interactive",
     .type = CLI_BOOL,
     .def = "true",
     .help = "ask for the password on the terminal; false: take it from standard input"},
    {.name = "no-password",
     .type = CLI_BOOL,
     .help = "a user without a password, who comes with a certificate"},
    {.name = "new-user-password", .type = CLI_STRING, .help = "the password of the new user"},
};
static const struct cli_flag get_flags[] = {
    {.name = "detail", .type = CLI_BOOL, .help = "show what each role of the user permits"},
};
static const struct cli_flag passwd_flags[] = {
    {.name = "interactive",
     .type = CLI_BOOL,
     .def = "true",
     .help = "ask for the password on the terminal; false: take it from standard input"},
};

static const struct cli_command add_command = {
    .use = "add <user name or user:password> [options]",
    .brief = "Adds a new user",
    .about =
        "The password comes from the argument, from --new-user-password, from standard input,\n"
        "or it is asked for.",
    CLI_FLAGS(add_flags),
    .run = add_run};
static const struct cli_command delete_command = {
    .use = "delete <user name>", .brief = "Deletes a user", .run = delete_run};
static const struct cli_command show_command = {.use = "get <user name> [options]",
                                                .brief = "Shows the roles of a user",
                                                CLI_FLAGS(get_flags),
                                                .run = get_run};
static const struct cli_command list_command = {
    .use = "list", .brief = "Lists all users", .run = list_run};
static const struct cli_command passwd_command = {.use = "passwd <user name> [options]",
                                                  .brief = "Changes the password of a user",
                                                  CLI_FLAGS(passwd_flags),
                                                  .run = passwd_run};
static const struct cli_command grant_command = {.use = "grant-role <user name> <role name>",
                                                 .brief = "Grants a role to a user",
                                                 .run = grant_run};
static const struct cli_command revoke_command = {.use = "revoke-role <user name> <role name>",
                                                  .brief = "Revokes a role from a user",
                                                  .run = revoke_run};
static const struct cli_command *const user_commands[] = {
    &add_command,    &delete_command, &show_command,  &list_command,
    &passwd_command, &grant_command,  &revoke_command};

const struct cli_command user_command = {
    .use = "user",
    .brief = "User related commands",
    .group = GROUP_AUTH,
    CLI_SUBS(user_commands),
};
