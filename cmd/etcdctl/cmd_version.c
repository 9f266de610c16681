#include "etcdctl/ctl.h"

#define ETCD_VERSION "3.7.1" /* the release that we implement */
#define ETCD_API_VERSION "3.7"

static int version_run(struct cli_call *call)
{
    (void) call;
    printf("etcdctl version: %s\nAPI version: %s\n", ETCD_VERSION, ETCD_API_VERSION);
    fflush(stdout);
    return CTL_OK;
}

const struct cli_command version_command = {
    .use = "version",
    .brief = "Prints the version of etcdctl",
    .group = GROUP_UTILITY,
    .run = version_run,
};
