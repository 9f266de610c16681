/* cmd_role.c -- roles: names for sets of permissions. */
#include <ctype.h>

#include "etcdctl/ctl.h"
#include "wire/wire.h"

/* The one argument of add, delete and get. */
static int role_name(struct cli_call *call, const char *what, char **ret)
{
    if (call->arg_count != 1)
        return cli_fail(CTL_BAD_ARGS, "role %s command requires role name as its argument", what);
    *ret = ctl_field(call, call->args[0]);
    return CTL_OK;
}

static int add_run(struct cli_call *call)
{
    Etcdserverpb__AuthRoleAddRequest req = ETCDSERVERPB__AUTH_ROLE_ADD_REQUEST__INIT;
    int status = role_name(call, "add", &req.name);

    if (status != CTL_OK)
        return status;
    return ctl_change(call, KETCH_METHOD_role_add, &req.base, 0,
                      CTL_LINE(call, "Role %s created", req.name));
}

static int delete_run(struct cli_call *call)
{
    Etcdserverpb__AuthRoleDeleteRequest req = ETCDSERVERPB__AUTH_ROLE_DELETE_REQUEST__INIT;
    int status = role_name(call, "delete", &req.role);

    if (status != CTL_OK)
        return status;
    return ctl_change(call, KETCH_METHOD_role_delete, &req.base, 0,
                      CTL_LINE(call, "Role %s deleted", req.role));
}

int role_show(struct ctl *ctl, char *name)
{
    Etcdserverpb__AuthRoleGetRequest req = ETCDSERVERPB__AUTH_ROLE_GET_REQUEST__INIT;
    const Etcdserverpb__AuthRoleGetResponse *resp;
    struct ketch_reply *reply;
    int status;

    req.role = name;
    if (ketch_role_get(ctl->client, &req, 0, &reply, &resp, &ctl->error) != KETCH_OK)
        return ctl_fail(ctl, CTL_ERROR);
    ctl->what.name = name;
    status = CTL_PRINT(ctl, role_get, resp);
    ketch_reply_free(reply);
    return status;
}

static int get_run(struct cli_call *call)
{
    struct ctl ctl;
    char *name = NULL;
    int status = role_name(call, "get", &name);

    if (status != CTL_OK)
        return status;
    status = ctl_open(&ctl, call);
    if (status == CTL_OK)
        status = role_show(&ctl, name);
    return ctl_close(&ctl, status);
}

CTL_PRINT_FN(print_list, role_list, AuthRoleListResponse)

static int list_run(struct cli_call *call)
{
    Etcdserverpb__AuthRoleListRequest req = ETCDSERVERPB__AUTH_ROLE_LIST_REQUEST__INIT;

    if (call->arg_count != 0)
        return cli_fail(CTL_BAD_ARGS, "role list command requires no arguments");
    return ctl_ask(call, KETCH_METHOD_role_list, &req.base, 0, CTL_ERROR, print_list);
}

/* ---- permissions ---- */

static const struct bytes zero_byte = {(const uint8_t *) "", 1};

/* The range of a permission, of which the arguments from `first` on are key and end.  A permission
 * for the empty key would be none: what is meant is the first key there can be, and behind. */
static int permission_range(struct cli_call *call, size_t first, struct bytes *ret_key,
                            struct bytes *ret_end)
{
    bool prefix = cli_bool(call, "prefix");
    bool from_key = cli_bool(call, "from-key");
    struct bytes key = cli_arg(call, first);
    bool has_end = call->arg_count > first + 1 && key.n > 0;

    if (!has_end && prefix && from_key)
        return cli_fail(CTL_BAD_ARGS, "--from-key and --prefix flags are mutually exclusive");
    if (has_end && (prefix || from_key))
        return cli_fail(CTL_BAD_ARGS, "unexpected endkey argument with %s flag",
                        prefix ? "--prefix" : "--from-key");
    *ret_key = key.n == 0 ? zero_byte : key;
    if (has_end)
        *ret_end = cli_arg(call, first + 1);
    else if (from_key || (prefix && key.n == 0))
        *ret_end = zero_byte;
    else if (prefix)
        *ret_end = kv_prefix_end(key, &call->arena);
    else
        *ret_end = bytes_of(NULL, 0);
    return CTL_OK;
}

static bool permission_type(const char *word, Authpb__Permission__Type *ret)
{
    static const Authpb__Permission__Type types[] = {AUTHPB__PERMISSION__TYPE__READ,
                                                     AUTHPB__PERMISSION__TYPE__WRITE,
                                                     AUTHPB__PERMISSION__TYPE__READWRITE};

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const char *name = print_permission_name(types[i]);
        size_t n = 0;

        while (word[n] != 0 && toupper((unsigned char) word[n]) == name[n])
            n++;
        if (word[n] == 0 && name[n] == 0) {
            *ret = types[i];
            return true;
        }
    }
    return false;
}

static int grant_run(struct cli_call *call)
{
    Etcdserverpb__AuthRoleGrantPermissionRequest req =
        ETCDSERVERPB__AUTH_ROLE_GRANT_PERMISSION_REQUEST__INIT;
    Authpb__Permission perm = AUTHPB__PERMISSION__INIT;
    struct bytes key;
    struct bytes end;

    if (call->arg_count < 3)
        return cli_fail(CTL_BAD_ARGS, "role grant command requires role name, permission type, and "
                                      "key [endkey] as its argument");
    if (!permission_type(call->args[1], &perm.permtype))
        return cli_fail(CTL_BAD_ARGS, "invalid permission type: %s", call->args[1]);
    if (permission_range(call, 2, &key, &end) != CTL_OK)
        return CTL_BAD_ARGS;
    perm.key = wire_binary(key);
    perm.range_end = wire_binary(end);
    req.name = ctl_field(call, call->args[0]);
    req.perm = &perm;
    return ctl_change(call, KETCH_METHOD_role_grant_permission, &req.base, 0,
                      CTL_LINE(call, "Role %s updated", req.name));
}

/* The range as it was given: an empty key stays empty here. */
static void put_revoked(struct buf *out, struct bytes key, struct bytes end, const char *role)
{
    if (end.n == 0) {
        buf_add_str(out, "Permission of key ");
        buf_add_bytes(out, key);
    } else {
        buf_add_str(out, "Permission of range ");
        print_key_range(out, key, end);
    }
    buf_printf(out, " is revoked from role %s", role);
}

static int revoke_run(struct cli_call *call)
{
    Etcdserverpb__AuthRoleRevokePermissionRequest req =
        ETCDSERVERPB__AUTH_ROLE_REVOKE_PERMISSION_REQUEST__INIT;
    struct bytes key;
    struct bytes end;
    struct buf line;
    int status;

    if (call->arg_count < 2)
        return cli_fail(CTL_BAD_ARGS, "role revoke-permission command requires role name and key "
                                      "[endkey] as its argument");
    if (permission_range(call, 1, &key, &end) != CTL_OK)
        return CTL_BAD_ARGS;
    req.role = ctl_field(call, call->args[0]);
    req.key = wire_binary(key);
    req.range_end = wire_binary(end);
    buf_init(&line, CLI_PAGE_BYTES_MAX);
    put_revoked(&line, cli_arg(call, 1), end, req.role);
    status = ctl_change(call, KETCH_METHOD_role_revoke_permission, &req.base, 0, buf_cstr(&line));
    buf_done(&line);
    return status;
}

/* ---- the tree ---- */

static const struct cli_flag grant_flags[] = {
    {.name = "prefix", .type = CLI_BOOL, .help = "grant for all keys with this prefix"},
    {.name = "from-key",
     .type = CLI_BOOL,
     .help = "grant for the key and all that come behind it in byte order"},
};
static const struct cli_flag revoke_flags[] = {
    {.name = "prefix", .type = CLI_BOOL, .help = "revoke what was granted for a prefix"},
    {.name = "from-key",
     .type = CLI_BOOL,
     .help = "revoke what was granted for the key and all behind it"},
};

static const struct cli_command add_command = {
    .use = "add <role name>", .brief = "Adds a new role", .run = add_run};
static const struct cli_command delete_command = {
    .use = "delete <role name>", .brief = "Deletes a role", .run = delete_run};
static const struct cli_command show_command = {
    .use = "get <role name>", .brief = "Shows what a role permits", .run = get_run};
static const struct cli_command list_command = {
    .use = "list", .brief = "Lists all roles", .run = list_run};
static const struct cli_command grant_command = {
    .use = "grant-permission [options] <role name> <permission type> <key> [endkey]",
    .brief = "Grants a key or a range of keys to a role",
    .about = "Lets a role read, write or readwrite a key, or the keys of [key, endkey).",
    CLI_FLAGS(grant_flags),
    .run = grant_run};
static const struct cli_command revoke_command = {
    .use = "revoke-permission <role name> <key> [endkey]",
    .brief = "Revokes a key or a range of keys from a role",
    .about = "Takes back a permission; key and end must be those it was granted with.",
    CLI_FLAGS(revoke_flags),
    .run = revoke_run};
static const struct cli_command *const role_commands[] = {
    &add_command, &delete_command, &show_command, &list_command, &grant_command, &revoke_command};

const struct cli_command role_command = {
    .use = "role",
    .brief = "Role related commands",
    .group = GROUP_AUTH,
    CLI_SUBS(role_commands),
};
