#include "base/alloc.h"
#include "cli/text.h"
#include "engine/net/url.h"
#include "etcdctl/ctl.h"

/* ---- list ---- */

static int list_run(struct cli_call *call)
{
    Etcdserverpb__MemberListRequest req = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    const Etcdserverpb__MemberListResponse *resp;
    struct ketch_reply *reply = NULL;
    struct ctl ctl;
    const char *consistency = cli_string(call, "consistency");
    int64_t timeout_ms = ctl_timeout_ms(call);
    int status;

    req.linearizable = strcmp(consistency, "l") == 0;
    /* The text names the default instead of what was given; so does etcdctl's. */
    if (!req.linearizable && strcmp(consistency, "s") != 0)
        return cli_fail(CTL_BAD_FEATURE, "unknown consistency flag \"l\"");
    status = ctl_open(&ctl, call);
    if (status == CTL_OK &&
        ketch_member_list(ctl.client, &req, timeout_ms, &reply, &resp, &ctl.error) != KETCH_OK)
        status = ctl_fail(&ctl, CTL_ERROR);
    else if (status == CTL_OK)
        status = CTL_PRINT(&ctl, member_list, resp);
    ketch_reply_free(reply);
    return ctl_close(&ctl, status);
}

/* ---- arguments of a change ---- */

static int member_id(const struct cli_call *call, uint64_t *ret)
{
    struct err e = ERR_INIT;

    if (call->arg_count != 1)
        return cli_fail(CTL_BAD_ARGS, "member ID is not provided");
    if (text_parse_uint(call->args[0], 16, ret, &e) != 0)
        return cli_fail(CTL_BAD_ARGS, "bad member ID arg (%s), expecting ID in Hex", e.msg);
    return CTL_OK;
}

/* --peer-urls, split at its commas; in the call's arena. */
static int peer_urls(struct cli_call *call, char ***ret, size_t *ret_n)
{
    const char *urls = cli_string(call, "peer-urls");
    char *copy;
    size_t n = 1;

    if (urls[0] == 0)
        return cli_fail(CTL_BAD_ARGS, "member peer urls not provided");
    for (const char *p = urls; *p != 0; p++)
        n += *p == ',';
    copy = arena_dup(&call->arena, urls, strlen(urls) + 1);
    *ret = arena_calloc(&call->arena, n, sizeof(**ret));
    if (copy == NULL || *ret == NULL)
        return cli_fail(CTL_ERROR, "out of memory");
    *ret_n = n;
    for (size_t i = 0; i < n; i++) {
        (*ret)[i] = copy;
        copy += strcspn(copy, ",");
        if (*copy == ',')
            *copy++ = 0;
    }
    return CTL_OK;
}

/* ---- a change ---- */

/* What add, remove, update and promote have in common. */
struct change {
    enum ketch_method method;
    const ProtobufCMessage *request;
    uint64_t member_id; /* in the answer's words; 0: the answer itself names the member */
    char *const *urls;  /* in the request */
    size_t urls_n;
    ctl_print_fn *print;
};

/* What etcd's types.NewURLs asks of peer URLs. */
static int check_urls(const struct change *c, struct arena *a)
{
    struct err e = ERR_INIT;
    struct url u;

    for (size_t i = 0; i < c->urls_n; i++) {
        if (url_parse(c->urls[i], a, &u, &e) != 0)
            return cli_fail(CTL_ERROR, "%s", e.msg);
    }
    return CTL_OK;
}

/* Sends the request and prints the answer.  URLs in it are looked at only when the login has
 * succeeded, as etcd's client does. */
static int make_change(struct cli_call *call, const struct change *c)
{
    struct ketch_reply *reply = NULL;
    struct ctl ctl;
    int64_t timeout_ms = ctl_timeout_ms(call);
    int status = ctl_open(&ctl, call);

    ctl.what.member_id = c->member_id;
    if (status == CTL_OK)
        status = check_urls(c, &call->arena);
    if (status == CTL_OK &&
        ketch_invoke(ctl.client, c->method, c->request, timeout_ms, &reply, &ctl.error) != KETCH_OK)
        status = ctl_fail(&ctl, CTL_ERROR);
    if (status == CTL_OK)
        status = c->print(&ctl, ketch_reply_message(reply));
    ketch_reply_free(reply);
    return ctl_close(&ctl, status);
}

/* A change whose request is one id, at *ret_id of the request, and nothing else. */
static int change_by_id(struct cli_call *call, struct change c, uint64_t *ret_id)
{
    int status = member_id(call, ret_id);

    if (status != CTL_OK)
        return status;
    c.member_id = *ret_id;
    return make_change(call, &c);
}

/* ---- add ---- */

static int add_args(const struct cli_call *call)
{
    struct buf b;
    int status;

    if (call->arg_count == 0)
        return cli_fail(CTL_BAD_ARGS, "member name not provided");
    if (call->arg_count == 1)
        return CTL_OK;
    buf_init(&b, CLI_PAGE_BYTES_MAX);
    buf_add_str(&b, "too many arguments");
    for (size_t i = 1; i < call->arg_count; i++)
        if (strncmp(call->args[i], "http", 4) == 0)
            buf_printf(&b, ", did you mean --peer-urls=%s", call->args[i]);
    status = cli_fail(CTL_BAD_ARGS, "%s", buf_cstr(&b));
    buf_done(&b);
    return status;
}

/* What the new member is to be started with names it as it was named here. */
static int print_add(struct ctl *ctl, const ProtobufCMessage *answer)
{
    const Etcdserverpb__MemberAddResponse *r = (const void *) answer;

    ctl->what.member_name = ctl->call->args[0];
    ctl->what.peer_urls = cli_string(ctl->call, "peer-urls");
    return CTL_PRINT(ctl, member_add, r);
}

static int add_run(struct cli_call *call)
{
    Etcdserverpb__MemberAddRequest req = ETCDSERVERPB__MEMBER_ADD_REQUEST__INIT;
    struct change c = {KETCH_METHOD_member_add, &req.base, .print = print_add};
    int status = add_args(call);

    if (status == CTL_OK)
        status = peer_urls(call, &req.peerurls, &req.n_peerurls);
    if (status != CTL_OK)
        return status;
    req.islearner = cli_bool(call, "learner");
    c.urls = req.peerurls;
    c.urls_n = req.n_peerurls;
    return make_change(call, &c);
}

/* ---- update, remove, promote ---- */

CTL_PRINT_FN(print_update, member_update, MemberUpdateResponse)
CTL_PRINT_FN(print_remove, member_remove, MemberRemoveResponse)
CTL_PRINT_FN(print_promote, member_promote, MemberPromoteResponse)

static int update_run(struct cli_call *call)
{
    Etcdserverpb__MemberUpdateRequest req = ETCDSERVERPB__MEMBER_UPDATE_REQUEST__INIT;
    struct change c = {KETCH_METHOD_member_update, &req.base, .print = print_update};
    int status = member_id(call, &req.id);

    if (status == CTL_OK)
        status = peer_urls(call, &req.peerurls, &req.n_peerurls);
    if (status != CTL_OK)
        return status;
    c.member_id = req.id;
    c.urls = req.peerurls;
    c.urls_n = req.n_peerurls;
    return make_change(call, &c);
}

static int remove_run(struct cli_call *call)
{
    Etcdserverpb__MemberRemoveRequest req = ETCDSERVERPB__MEMBER_REMOVE_REQUEST__INIT;
    struct change c = {KETCH_METHOD_member_remove, &req.base, .print = print_remove};

    return change_by_id(call, c, &req.id);
}

static int promote_run(struct cli_call *call)
{
    Etcdserverpb__MemberPromoteRequest req = ETCDSERVERPB__MEMBER_PROMOTE_REQUEST__INIT;
    struct change c = {KETCH_METHOD_member_promote, &req.base, .print = print_promote};

    return change_by_id(call, c, &req.id);
}

/* ---- the tree ---- */

static const struct cli_flag add_flags[] = {
    {.name = "peer-urls",
     .type = CLI_STRING,
     .help = "comma separated peer URLs for the new member"},
    {.name = "learner",
     .type = CLI_BOOL,
     .help = "whether the new member joins as a learner, without a vote"},
};
static const struct cli_flag update_flags[] = {
    {.name = "peer-urls",
     .type = CLI_STRING,
     .help = "comma separated peer URLs for the updated member"},
};
static const struct cli_flag list_flags[] = {
    {.name = "consistency",
     .type = CLI_STRING,
     .def = "l",
     .help = "ask the quorum (l, linearizable) or one member (s, serializable)"},
};

static const struct cli_command add_command = {.use = "add <memberName> [options]",
                                               .brief = "Adds a member into the cluster",
                                               CLI_FLAGS(add_flags),
                                               .run = add_run};
static const struct cli_command remove_command = {
    .use = "remove <memberID>", .brief = "Removes a member from the cluster", .run = remove_run};
static const struct cli_command update_command = {.use = "update <memberID> [options]",
                                                  .brief = "Updates a member in the cluster",
                                                  CLI_FLAGS(update_flags),
                                                  .run = update_run};
static const struct cli_command list_command = {.use = "list",
                                                .brief = "Lists all members in the cluster",
                                                .about = "Prints each member's ID, status, name, "
                                                         "peer addresses, client addresses and\n"
                                                         "whether it is a learner.",
                                                CLI_FLAGS(list_flags),
                                                .run = list_run};
static const struct cli_command promote_command = {
    .use = "promote <memberID>",
    .brief = "Promotes a non-voting member in the cluster",
    .run = promote_run};
static const struct cli_command *const member_commands[] = {
    &add_command, &remove_command, &update_command, &list_command, &promote_command};

const struct cli_command member_command = {
    .use = "member",
    .brief = "Membership related commands",
    .group = GROUP_CLUSTER,
    CLI_SUBS(member_commands),
};
