/* cmd_endpoint.c -- questions put to each endpoint by itself. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "base/alloc.h"
#include "cli/text.h"
#include "etcdctl/ctl.h"

/* ---- status, hashkv: one endpoint after the other ---- */

/* Answers, and the replies that keep them alive. */
struct answers {
    struct ketch_reply **replies;
    size_t n;
    const char *const *endpoints;
    size_t endpoint_count;
    int status;
};

static int answers_init(struct ctl *ctl, struct answers *a)
{
    *a = (struct answers){.status = CTL_OK};
    return ctl_endpoints(ctl, &a->endpoints, &a->endpoint_count);
}

static void answers_done(struct answers *a)
{
    for (size_t i = 0; i < a->n; i++)
        ketch_reply_free(a->replies[i]);
    mem_free(a->replies);
}

/* Asks one endpoint; *ret is NULL when it did not answer, with the complaint on stderr.  A status
 * other than CTL_OK ends the command: there is no client for it, or its login was refused. */
static int ask(struct ctl *ctl, const char *endpoint, enum ketch_method m,
               const ProtobufCMessage *req, const char *what, struct ketch_reply **ret)
{
    struct ketch_client *c;
    int status = ctl_connect(ctl, &endpoint, 1, NULL, &c);

    *ret = NULL;
    if (status != CTL_OK)
        return status;
    if (ketch_invoke(c, m, req, ctl_timeout_ms(ctl->call), ret, &ctl->error) != KETCH_OK)
        fprintf(stderr, "Failed to get the %s of endpoint %s (%s)\n", what, endpoint,
                ctl->error.text);
    ketch_close(c);
    return CTL_OK;
}

static int status_run(struct cli_call *call)
{
    Etcdserverpb__StatusRequest req = ETCDSERVERPB__STATUS_REQUEST__INIT;
    struct print_status *list = NULL;
    struct answers a = {0};
    struct ctl ctl;
    int status = ctl_init(&ctl, call);

    if (status == CTL_OK)
        status = answers_init(&ctl, &a);
    a.replies = xmem_calloc(a.endpoint_count + 1, sizeof(*a.replies));
    list = xmem_calloc(a.endpoint_count + 1, sizeof(*list));
    for (size_t i = 0; status == CTL_OK && i < a.endpoint_count; i++) {
        struct ketch_reply *r;

        status = ask(&ctl, a.endpoints[i], KETCH_METHOD_status, &req.base, "status", &r);
        if (r == NULL) {
            a.status = CTL_ERROR;
            continue;
        }
        list[a.n] = (struct print_status){a.endpoints[i], (const void *) ketch_reply_message(r)};
        a.replies[a.n++] = r;
    }
    if (status == CTL_OK)
        status = CTL_PRINT(&ctl, status, list, a.n);
    if (status == CTL_OK)
        status = a.status;
    answers_done(&a);
    mem_free(list);
    return ctl_close(&ctl, status);
}

static int hash_kv_run(struct cli_call *call)
{
    Etcdserverpb__HashKVRequest req = ETCDSERVERPB__HASH_KVREQUEST__INIT;
    struct print_hash_kv *list = NULL;
    struct answers a = {0};
    struct ketch_error last = {0};
    struct ctl ctl;
    int status = ctl_init(&ctl, call);

    req.revision = cli_int(call, "rev");
    if (status == CTL_OK)
        status = answers_init(&ctl, &a);
    a.replies = xmem_calloc(a.endpoint_count + 1, sizeof(*a.replies));
    list = xmem_calloc(a.endpoint_count + 1, sizeof(*list));
    for (size_t i = 0; status == CTL_OK && i < a.endpoint_count; i++) {
        struct ketch_reply *r;

        status = ask(&ctl, a.endpoints[i], KETCH_METHOD_hash_kv, &req.base, "hash", &r);
        if (r == NULL) {
            last = ctl.error;
            continue;
        }
        list[a.n] = (struct print_hash_kv){a.endpoints[i], (const void *) ketch_reply_message(r)};
        a.replies[a.n++] = r;
    }
    if (status == CTL_OK)
        status = CTL_PRINT(&ctl, hash_kv, list, a.n);
    if (status == CTL_OK && last.code != KETCH_OK)
        status = cli_fail(CTL_ERROR, "%s", last.text);
    answers_done(&a);
    mem_free(list);
    return ctl_close(&ctl, status);
}

/* ---- health: all at the same time ---- */

struct checks;

/* One endpoint: first a read that needs the quorum, then the list of alarms. */
struct check {
    struct checks *all;
    struct ketch_client *client;
    const char *endpoint;
    int64_t began_ns;
    struct buf took;
    struct buf error;
};

struct checks {
    struct ctl *ctl;
    struct check *list;
    struct print_health *done; /* in the order of completion */
    size_t n;
    size_t done_count;
    int64_t timeout_ms;
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static void check_finish(struct check *k)
{
    struct checks *all = k->all;
    const char *error = buf_cstr(&k->error);

    all->done[all->done_count++] = (struct print_health){
        .endpoint = k->endpoint,
        .health = error[0] == 0,
        .took = buf_cstr(&k->took),
        .error = error,
    };
    if (all->done_count == all->n && k->client != NULL)
        ketch_stop(k->client);
}

static void on_alarms(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct check *k = user;
    const Etcdserverpb__AlarmResponse *r = reply == NULL
                                               ? NULL
                                               : (const void *) ketch_reply_message(reply);

    (void) e;
    if (r == NULL)
        buf_add_str(&k->error, "Unable to fetch the alarm list");
    else if (r->n_alarms > 0)
        buf_add_str(&k->error, "Active Alarm(s): ");
    for (size_t i = 0; r != NULL && i < r->n_alarms; i++)
        buf_printf(&k->error, "%s ", print_alarm_name(r->alarms[i]->alarm));
    ketch_reply_free(reply);
    check_finish(k);
}

static void on_health_read(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    Etcdserverpb__AlarmRequest req = ETCDSERVERPB__ALARM_REQUEST__INIT;
    struct check *k = user;

    ketch_reply_free(reply);
    text_duration(&k->took, now_ns() - k->began_ns);
    /* A refusal for want of permission has gone through consensus too. */
    if (e->code != KETCH_OK && strcmp(e->text, "etcdserver: permission denied") != 0)
        buf_add_str(&k->error, e->text);
    else if (ketch_start(k->client, KETCH_METHOD_alarm, &req.base, k->all->timeout_ms, on_alarms,
                         k) != NULL)
        return;
    check_finish(k);
}

static void check_start(struct checks *all, struct check *k, const char *endpoint,
                        struct ketch_client *share)
{
    Etcdserverpb__RangeRequest req = ETCDSERVERPB__RANGE_REQUEST__INIT;
    char key[] = "health";

    k->all = all;
    k->endpoint = endpoint;
    k->began_ns = now_ns();
    buf_init(&k->took, 64);
    buf_init(&k->error, CLI_PAGE_BYTES_MAX);
    req.key = (ProtobufCBinaryData){strlen(key), (uint8_t *) key};
    if (ctl_try_connect(all->ctl, endpoint, share, &k->client) == CTL_OK &&
        ketch_start(k->client, KETCH_METHOD_range, &req.base, all->timeout_ms, on_health_read, k) !=
            NULL)
        return;
    buf_add_str(&k->error, all->ctl->error.text);
    check_finish(k);
}

static int print_checks(struct ctl *ctl, const struct checks *all)
{
    int status = CTL_PRINT(ctl, health, all->done, all->done_count);

    for (size_t i = 0; status == CTL_OK && i < all->done_count; i++)
        if (all->done[i].error[0] != 0)
            status = cli_fail(CTL_ERROR, "unhealthy cluster");
    return status;
}

static void checks_done(struct checks *all)
{
    for (size_t i = all->n; i-- > 0;) {
        ketch_close(all->list[i].client);
        buf_done(&all->list[i].took);
        buf_done(&all->list[i].error);
    }
    mem_free(all->list);
    mem_free(all->done);
}

static int health_run(struct cli_call *call)
{
    struct checks all = {0};
    struct ctl ctl;
    const char *const *endpoints = NULL;
    int status = ctl_init(&ctl, call);

    if (status == CTL_OK)
        status = ctl_endpoints(&ctl, &endpoints, &all.n);
    if (status != CTL_OK)
        return ctl_close(&ctl, status);
    all.ctl = &ctl;
    all.timeout_ms = ctl_timeout_ms(call);
    all.list = xmem_calloc(all.n + 1, sizeof(*all.list));
    all.done = xmem_calloc(all.n + 1, sizeof(*all.done));
    struct ketch_client *share = NULL;
    for (size_t i = 0; i < all.n; i++) {
        check_start(&all, &all.list[i], endpoints[i], share);
        share = share != NULL ? share : all.list[i].client;
    }
    if (all.done_count < all.n)
        ketch_run(share);
    status = print_checks(&ctl, &all);
    checks_done(&all);
    return ctl_close(&ctl, status);
}

/* ---- the tree ---- */

static const struct cli_flag endpoint_flags[] = {
    {.name = "cluster",
     .type = CLI_BOOL,
     .persistent = true,
     .help = "use all endpoints from the cluster member list"},
};
static const struct cli_flag hash_kv_flags[] = {
    {.name = "rev", .type = CLI_INT, .help = "maximum revision to hash (default: all revisions)"},
};

static const struct cli_command health_command = {
    .use = "health",
    .brief = "Checks the healthiness of endpoints specified in `--endpoints` flag",
    .run = health_run,
};
static const struct cli_command status_command = {
    .use = "status",
    .brief = "Prints out the status of endpoints specified in `--endpoints` flag",
    .about = "Asks each endpoint for its version, the size of its data, its leader and its place\n"
             "in the log.",
    .run = status_run,
};
static const struct cli_command hash_kv_command = {
    .use = "hashkv",
    .brief = "Prints the KV history hash for each endpoint in `--endpoints`",
    CLI_FLAGS(hash_kv_flags),
    .run = hash_kv_run,
};
static const struct cli_command *const endpoint_commands[] = {&health_command, &status_command,
                                                              &hash_kv_command};

const struct cli_command endpoint_command = {
    .use = "endpoint",
    .brief = "Endpoint related commands",
    .group = GROUP_CLUSTER,
    CLI_FLAGS(endpoint_flags),
    CLI_SUBS(endpoint_commands),
};
