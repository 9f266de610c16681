#include "etcdutl/utl.h"

#define ETCD_VERSION "3.7.1" /* the release that we implement */
#define ETCD_API_VERSION "3.7"

static int version_run(struct cli_call *c)
{
    (void) c;
    printf("etcdutl version: %s\nAPI version: %s\n", ETCD_VERSION, ETCD_API_VERSION);
    return UTL_OK;
}

const struct cli_command version_command = {
    .use = "version",
    .brief = "Shows which release this program stands for",
    .about = "",
    .run = version_run,
};
