#define _POSIX_C_SOURCE 200809L
#include "etcdctl/ctl.h"

#include <ctype.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/json_out.h"
#include "cli/text.h"

#define NS_PER_MS 1000000

/* ---- log lines ---- */

void ctl_log(const char *level, const char *logger, const char *caller, const char *msg,
             const char *fields)
{
    struct timespec now;
    struct buf b;

    clock_gettime(CLOCK_REALTIME, &now);
    buf_init(&b, CLI_PAGE_BYTES_MAX);
    buf_printf(&b, "{\"level\":\"%s\",\"ts\":\"", level);
    text_timestamp(&b, (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000);
    buf_add_char(&b, '"');
    if (logger != NULL)
        buf_printf(&b, ",\"logger\":\"%s\"", logger);
    buf_printf(&b, ",\"caller\":\"%s\",\"msg\":\"%s\"", caller, msg);
    buf_printf(&b, "%s%s}\n", fields[0] == 0 ? "" : ",", fields);
    cli_write(stderr, &b);
    buf_done(&b);
}

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

/* --debug: the settings, sorted by name, then nothing of gRPC's own. */
static void show_settings(const struct cli_call *call)
{
    struct buf b;

    buf_init(&b, CLI_PAGE_BYTES_MAX);
    for (size_t i = call->own_count; i < call->value_count; i++) {
        const struct cli_value *v = &call->values[i];

        buf_add_str(&b, "ETCDCTL_");
        for (const char *p = v->flag->name; *p != 0; p++)
            buf_add_char(&b, *p == '-' ? '_' : (char) toupper((unsigned char) *p));
        buf_add_char(&b, '=');
        cli_value_print(v, &b);
        buf_add_char(&b, '\n');
    }
    cli_write(stderr, &b);
    buf_done(&b);
}

/* ---- settings ---- */

static int check_file_flag(const struct cli_call *call, const char *flag)
{
    const char *path = cli_string(call, flag);

    if (!cli_changed(call, flag))
        return CTL_OK;
    if (path[0] == 0)
        return cli_fail(CTL_BAD_ARGS, "empty string is passed to --%s option", flag);
    return CTL_OK;
}

static int check_readable(const char *path)
{
    if (path[0] == 0 || access(path, R_OK) == 0)
        return CTL_OK;
    return cli_fail(CTL_BAD_ARGS, "open %s: %s", path,
                    errno == ENOENT ? "no such file or directory" : "permission denied");
}

static int check_tls_files(const struct cli_call *call)
{
    const char *cert = cli_string(call, "cert");
    const char *key = cli_string(call, "key");
    int status;

    if (cert[0] != 0 && key[0] == 0)
        return cli_fail(CTL_BAD_ARGS, "KeyFile and CertFile must both be present[key: , cert: %s]",
                        cert);
    if (key[0] != 0 && cert[0] == 0)
        return cli_fail(CTL_BAD_ARGS, "KeyFile and CertFile must both be present[key: %s, cert: ]",
                        key);
    status = check_readable(cert);
    if (status == CTL_OK)
        status = check_readable(key);
    if (status == CTL_OK)
        status = check_readable(cli_string(call, "cacert"));
    return status;
}

static int check_settings(struct ctl *ctl)
{
    const struct cli_call *call = ctl->call;
    int status = CTL_OK;

    if (cli_string(call, "discovery-srv")[0] != 0)
        return cli_fail(CTL_ERROR, "discovery of endpoints by DNS (--discovery-srv) is not "
                                   "supported yet");
    if (status == CTL_OK)
        status = check_file_flag(call, "cert");
    if (status == CTL_OK)
        status = check_file_flag(call, "key");
    if (status == CTL_OK)
        status = check_file_flag(call, "cacert");
    if (status != CTL_OK)
        return status;
    ctl->how.printer = printer_find(cli_string(call, "write-out"));
    ctl->how.hex = cli_bool(call, "hex");
    if (ctl->how.printer == NULL)
        return cli_fail(CTL_BAD_FEATURE, "unsupported output format");
    return check_tls_files(call);
}

int64_t ctl_timeout_ms(const struct cli_call *call)
{
    int64_t ns = cli_int(call, "command-timeout");

    return ns <= 0 ? -1 : (ns + NS_PER_MS - 1) / NS_PER_MS;
}

int ctl_init(struct ctl *ctl, struct cli_call *call)
{
    int status;

    *ctl = (struct ctl){.call = call};
    arena_init(&ctl->arena, CTL_REQUEST_BYTES_MAX);
    buf_init(&ctl->out, CTL_OUT_BYTES_MAX);
    buf_init(&ctl->errs, CTL_OUT_BYTES_MAX);
    ctl->what = (struct print_what){.out = &ctl->out, .errs = &ctl->errs, .how = &ctl->how};
    status = ctl_read_environment(call);
    if (status != CTL_OK)
        return status;
    if (cli_bool(call, "debug"))
        show_settings(call);
    return check_settings(ctl);
}

/* ---- clients ---- */

/* NAME from --user, and its password from --password, from NAME:PASSWORD, or from the terminal. */
static void credentials(const struct cli_call *call, struct buf *name, struct buf *password)
{
    const char *user = cli_string(call, "user");
    const char *colon = strchr(user, ':');

    if (cli_string(call, "password")[0] != 0) {
        buf_add_str(name, user);
        buf_add_str(password, cli_string(call, "password"));
        return;
    }
    if (colon != NULL) {
        buf_add(name, user, (size_t) (colon - user));
        buf_add_str(password, colon + 1);
        return;
    }
    buf_add_str(name, user);
    ctl_ask_password("Password: ", password);
}

static int login(struct ctl *ctl, struct ketch_client *c)
{
    struct buf name;
    struct buf password;
    int status = CTL_OK;

    if (cli_string(ctl->call, "user")[0] == 0 || cli_string(ctl->call, "auth-jwt-token")[0] != 0)
        return CTL_OK;
    buf_init(&name, CLI_PAGE_BYTES_MAX);
    buf_init(&password, CLI_PAGE_BYTES_MAX);
    credentials(ctl->call, &name, &password);
    int64_t dial_ms = cli_int(ctl->call, "dial-timeout") / NS_PER_MS;
    if (ketch_login(c, buf_cstr(&name), buf_cstr(&password), MAX(dial_ms, 1), &ctl->error) !=
        KETCH_OK)
        status = ctl_fail(ctl, CTL_BAD_CONNECTION);
    buf_done(&name);
    buf_done(&password);
    return status;
}

int ctl_connect(struct ctl *ctl, const char *const *endpoints, size_t n, struct ketch_client *share,
                struct ketch_client **ret)
{
    const struct cli_call *call = ctl->call;
    struct ketch_options o = {
        .endpoints = endpoints,
        .endpoint_count = n,
        .dial_timeout_ms = cli_int(call, "dial-timeout") / NS_PER_MS,
        .keepalive_time_ms = MAX(cli_int(call, "keepalive-time") / NS_PER_MS, 10000),
        .keepalive_timeout_ms = cli_int(call, "keepalive-timeout") / NS_PER_MS,
        .request_bytes_max = (size_t) MAX(cli_int(call, "max-request-bytes"), 0),
        .response_bytes_max = (size_t) MAX(cli_int(call, "max-recv-bytes"), 0),
        .token = cli_string(call, "auth-jwt-token"),
        .tls = {.ca_file = cli_string(call, "cacert"),
                .cert_file = cli_string(call, "cert"),
                .key_file = cli_string(call, "key"),
                .skip_verify = cli_bool(call, "insecure-skip-tls-verify")},
        .on_attempt = on_attempt,
        .share = share,
    };

    o.tls.enabled = o.tls.ca_file[0] != 0 || o.tls.cert_file[0] != 0 || o.tls.key_file[0] != 0 ||
                    o.tls.skip_verify || !cli_bool(call, "insecure-transport");
    *ret = NULL;
    if (ketch_open(&o, ret, &ctl->error) != KETCH_OK)
        return ctl_fail(ctl, CTL_BAD_CONNECTION);
    return login(ctl, *ret);
}

static const char *trimmed(struct ctl *ctl, const char *s)
{
    size_t n;

    while (isspace((unsigned char) *s))
        s++;
    n = strlen(s);
    while (n > 0 && isspace((unsigned char) s[n - 1]))
        n--;
    return arena_printf(&ctl->arena, "%.*s", (int) n, s);
}

int ctl_open(struct ctl *ctl, struct cli_call *call)
{
    const struct cli_value *v;
    const char **list;
    int status = ctl_init(ctl, call);

    if (status != CTL_OK)
        return status;
    v = cli_value(call, "endpoints");
    list = arena_calloc(&ctl->arena, v->list_count + 1, sizeof(*list));
    for (size_t i = 0; i < v->list_count; i++)
        list[i] = trimmed(ctl, v->list[i]);
    return ctl_connect(ctl, list, v->list_count, NULL, &ctl->client);
}

int ctl_close(struct ctl *ctl, int status)
{
    cli_write(stdout, &ctl->out);
    cli_write(stderr, &ctl->errs);
    ketch_close(ctl->client);
    buf_done(&ctl->out);
    buf_done(&ctl->errs);
    arena_done(&ctl->arena);
    return status;
}

/* ---- endpoints one by one ---- */

static int member_endpoints(struct ctl *ctl, const char *const **ret, size_t *ret_n)
{
    Etcdserverpb__MemberListRequest req = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    const Etcdserverpb__MemberListResponse *resp;
    struct ketch_reply *reply = NULL;
    const char **list = arena_calloc(&ctl->arena, CTL_ENDPOINTS_MAX, sizeof(*list));
    const struct cli_value *v = cli_value(ctl->call, "endpoints");
    int status;

    *ret_n = 0;
    *ret = list;
    status = ctl_connect(ctl, v->list, v->list_count, NULL, &ctl->client);
    if (status != CTL_OK)
        return status;
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
    const struct cli_value *v = cli_value(ctl->call, "endpoints");

    if (cli_bool(ctl->call, "cluster"))
        return member_endpoints(ctl, ret, ret_n);
    *ret = v->list;
    *ret_n = v->list_count;
    return CTL_OK;
}

/* ---- results ---- */

int ctl_fail(const struct ctl *ctl, int status)
{
    return cli_fail(status, "%s", ctl->error.text);
}

int ctl_unsupported(const struct ctl *ctl)
{
    return cli_fail(CTL_BAD_FEATURE, "%s not supported as output format", ctl->how.printer->name);
}

int ctl_change(struct cli_call *call, enum ketch_method m, const ProtobufCMessage *request,
               int64_t timeout_ms, const char *line)
{
    struct print_done d = {.line = line};
    struct ketch_reply *reply = NULL;
    struct ctl ctl;
    int status = ctl_open(&ctl, call);

    if (status == CTL_OK &&
        ketch_invoke(ctl.client, m, request, timeout_ms, &reply, &ctl.error) != KETCH_OK)
        status = ctl_fail(&ctl, CTL_ERROR);
    if (status == CTL_OK) {
        d.answer = ketch_reply_message(reply);
        status = CTL_PRINT(&ctl, done, &d);
    }
    ketch_reply_free(reply);
    return ctl_close(&ctl, status);
}

char *ctl_field(struct cli_call *call, const char *arg)
{
    return arena_printf(&call->arena, "%s", arg);
}

int ctl_flush(struct ctl *ctl)
{
    cli_write(stdout, &ctl->out);
    cli_write(stderr, &ctl->errs);
    return CTL_OK;
}
