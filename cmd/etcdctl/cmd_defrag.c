#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "cli/text.h"
#include "etcdctl/ctl.h"

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static int defrag_one(struct ctl *ctl, const char *endpoint)
{
    Etcdserverpb__DefragmentRequest req = ETCDSERVERPB__DEFRAGMENT_REQUEST__INIT;
    const Etcdserverpb__DefragmentResponse *resp;
    struct ketch_reply *reply = NULL;
    struct ketch_client *c = NULL;
    struct buf took;
    int64_t began = now_ns();
    int status = ctl_connect(ctl, &endpoint, 1, NULL, &c);

    if (status != CTL_OK)
        return status;
    buf_init(&took, 64);
    if (ketch_defragment(c, &req, ctl_timeout_ms(ctl->call), &reply, &resp, &ctl->error) !=
        KETCH_OK)
        status = CTL_ERROR;
    text_duration(&took, now_ns() - began);
    if (status == CTL_OK)
        buf_printf(&ctl->out, "Finished defragmenting etcd member[%s]. took %s\n", endpoint,
                   buf_cstr(&took));
    else
        buf_printf(&ctl->errs, "Failed to defragment etcd member[%s]. took %s. (%s)\n", endpoint,
                   buf_cstr(&took), ctl->error.text);
    if (ctl_flush(ctl) != CTL_OK)
        status = CTL_ERROR;
    buf_done(&took);
    ketch_reply_free(reply);
    ketch_close(c);
    return status;
}

static int defrag_run(struct cli_call *call)
{
    const char *const *endpoints = NULL;
    size_t n = 0;
    struct ctl ctl;
    int status = ctl_init(&ctl, call);
    int failed = CTL_OK;

    if (status == CTL_OK)
        status = ctl_endpoints(&ctl, &endpoints, &n);
    for (size_t i = 0; status == CTL_OK && i < n; i++) {
        int one = defrag_one(&ctl, endpoints[i]);

        if (one == CTL_ERROR)
            failed = CTL_ERROR;
        else
            status = one;
    }
    return ctl_close(&ctl, status != CTL_OK ? status : failed);
}

static const struct cli_flag defrag_flags[] = {
    {.name = "cluster", .type = CLI_BOOL, .help = "use all endpoints from the cluster member list"},
};

const struct cli_command defrag_command = {
    .use = "defrag",
    .brief = "Defragments the storage of the etcd members with given endpoints",
    .group = GROUP_CLUSTER,
    CLI_FLAGS(defrag_flags),
    .run = defrag_run,
};
