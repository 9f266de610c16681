/* connect.c -- which servers, over what, as whom. */
#define _POSIX_C_SOURCE 200809L
#include "base/alloc.h"
#include "base/blank.h"
#include "cli/identity.h"
#include "cli/json_out.h"
#include "etcdctl/ctl.h"

#define NS_PER_MS 1000000
#define KEEPALIVE_MS_MIN 10000 /* grpc's client asks no oftener */

/* What etcd's client logs of a failed attempt; tests that read stderr know this line. */
static void on_attempt(const struct ketch_attempt *a, void *user)
{
    struct buf b;

    (void) user;
    buf_init(&b, CLI_PAGE_BYTES_MAX);
    buf_printf(&b, "\"target\":\"etcd-endpoints://%p/%s\",\"peer\":", a->client, a->first_endpoint);
    if (a->peer != NULL)
        buf_printf(&b, "\"Peer{Addr: '%s', LocalAddr: <nil>, AuthInfo: 'insecure'}\"", a->peer);
    else
        buf_add_str(&b, "\"Peer{Addr: <nil>, LocalAddr: <nil>, AuthInfo: <nil>}\"");
    buf_printf(&b, ",\"method\":\"%s\",\"attempt\":%u,\"error\":", a->method, a->attempt);
    json_escape(&b, bytes_str(a->text));
    ctl_log("warn", "etcd-client", "v3/retry_interceptor.go:68", "retrying of unary invoker failed",
            buf_cstr(&b));
    buf_done(&b);
}

/* ---- as whom ---- */

struct ctl_target *ctl_target(struct ctl *ctl, const struct ctl_target *t, const char *prompt)
{
    struct ctl_target *copy = arena_dup(&ctl->arena, t, sizeof(*t));

    if (copy == NULL)
        mem_exhausted("a command line");
    copy->tls.enabled = copy->tls.enabled || copy->tls.ca_file[0] != 0 ||
                        copy->tls.cert_file[0] != 0 || copy->tls.key_file[0] != 0 ||
                        copy->tls.skip_verify;
    if (copy->token[0] == 0)
        cli_split_user(t->user, t->password, prompt, &ctl->arena, &copy->user, &copy->password);
    else
        copy->user = "";
    return copy;
}

/* What the global flags say; asks for a missing password once. */
static const struct ctl_target *global_target(struct ctl *ctl)
{
    const struct cli_call *call = ctl->call;
    struct ctl_target t = {
        .token = cli_string(call, "auth-jwt-token"),
        .user = cli_string(call, "user"),
        .password = cli_string(call, "password"),
        .tls = {.enabled = !cli_bool(call, "insecure-transport"),
                .ca_file = cli_string(call, "cacert"),
                .cert_file = cli_string(call, "cert"),
                .key_file = cli_string(call, "key"),
                .server_name = ctl->server_name,
                .skip_verify = cli_bool(call, "insecure-skip-tls-verify")},
    };

    t.tls.enabled = t.tls.enabled || ctl->server_name != NULL;
    if (ctl->target == NULL)
        ctl->target = ctl_target(ctl, &t, "Password: ");
    return ctl->target;
}

/* ---- clients ---- */

static int64_t duration_ms(const struct cli_call *call, const char *flag)
{
    return cli_int(call, flag) / NS_PER_MS;
}

/* ctl->error says why not. */
static int try_connect(struct ctl *ctl, const struct ctl_target *t, struct ketch_client *share,
                       struct ketch_client **ret)
{
    const struct cli_call *call = ctl->call;
    struct ketch_options o = {
        .endpoints = t->endpoints,
        .endpoint_count = t->endpoint_count,
        .dial_timeout_ms = duration_ms(call, "dial-timeout"),
        .keepalive_time_ms = MAX(duration_ms(call, "keepalive-time"), KEEPALIVE_MS_MIN),
        .keepalive_timeout_ms = duration_ms(call, "keepalive-timeout"),
        .request_bytes_max = (size_t) MAX(cli_int(call, "max-request-bytes"), 0),
        .response_bytes_max = (size_t) MAX(cli_int(call, "max-recv-bytes"), 0),
        .token = t->token,
        .tls = t->tls,
        .on_attempt = on_attempt,
        .share = share,
    };

    *ret = NULL;
    if (ketch_open(&o, ret, &ctl->error) != KETCH_OK)
        return CTL_BAD_CONNECTION;
    if (ketch_login(*ret, t->user, t->password, MAX(o.dial_timeout_ms, 1), &ctl->error) == KETCH_OK)
        return CTL_OK;
    ketch_close(*ret);
    *ret = NULL;
    return CTL_BAD_CONNECTION;
}

int ctl_connect_to(struct ctl *ctl, const struct ctl_target *t, struct ketch_client *share,
                   struct ketch_client **ret)
{
    int status = try_connect(ctl, t, share, ret);

    return status == CTL_OK ? status : ctl_fail(ctl, status);
}

int ctl_try_connect(struct ctl *ctl, const char *endpoint, struct ketch_client *share,
                    struct ketch_client **ret)
{
    struct ctl_target t = *global_target(ctl);

    t.endpoints = &endpoint;
    t.endpoint_count = 1;
    return try_connect(ctl, &t, share, ret);
}

int ctl_connect(struct ctl *ctl, const char *const *endpoints, size_t n, struct ketch_client *share,
                struct ketch_client **ret)
{
    struct ctl_target t = *global_target(ctl);

    t.endpoints = endpoints;
    t.endpoint_count = n;
    return ctl_connect_to(ctl, &t, share, ret);
}

int ctl_open(struct ctl *ctl, struct cli_call *call)
{
    int status = ctl_init(ctl, call);

    return status == CTL_OK ? ctl_open_client(ctl) : status;
}

int ctl_open_client(struct ctl *ctl)
{
    const char **list;

    list = arena_calloc(&ctl->arena, ctl->endpoint_count + 1, sizeof(*list));
    for (size_t i = 0; i < ctl->endpoint_count; i++) {
        struct bytes s = bytes_trimmed(bytes_str(ctl->endpoints[i]));

        list[i] = arena_printf(&ctl->arena, "%.*s", (int) s.n, (const char *) s.p);
    }
    return ctl_connect(ctl, list, ctl->endpoint_count, NULL, &ctl->client);
}

/* ---- endpoints one by one ---- */

static int member_endpoints(struct ctl *ctl, const char *const **ret, size_t *ret_n)
{
    Etcdserverpb__MemberListRequest req = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    const Etcdserverpb__MemberListResponse *resp;
    struct ketch_reply *reply = NULL;
    const char **list = arena_calloc(&ctl->arena, CTL_ENDPOINTS_MAX, sizeof(*list));
    int status;

    *ret_n = 0;
    *ret = list;
    status = ctl_connect(ctl, ctl->endpoints, ctl->endpoint_count, NULL, &ctl->client);
    if (status != CTL_OK)
        return CTL_ERROR; /* etcdctl's status where it is the list that fails */
    req.linearizable = true;
    if (ketch_member_list(ctl->client, &req, ctl_timeout_ms(ctl->call), &reply, &resp,
                          &ctl->error) != KETCH_OK)
        return cli_fail(CTL_ERROR, "failed to fetch endpoints from etcd cluster member list: %s",
                        ctl->error.text);
    for (size_t i = 0; i < resp->n_members; i++)
        for (size_t k = 0; k < resp->members[i]->n_clienturls; k++)
            if (*ret_n < CTL_ENDPOINTS_MAX)
                list[(*ret_n)++] = arena_printf(&ctl->arena, "%s", resp->members[i]->clienturls[k]);
    ketch_reply_free(reply);
    ketch_close(ctl->client);
    ctl->client = NULL;
    return CTL_OK;
}

int ctl_endpoints(struct ctl *ctl, const char *const **ret, size_t *ret_n)
{
    if (cli_bool(ctl->call, "cluster"))
        return member_endpoints(ctl, ret, ret_n);
    *ret = ctl->endpoints;
    *ret_n = ctl->endpoint_count;
    return CTL_OK;
}
