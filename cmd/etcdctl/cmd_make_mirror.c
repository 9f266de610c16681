/* cmd_make_mirror.c -- one cluster's keys, or those of a prefix, kept in another one. */
#include "etcdctl/mirror.h"

#define MIRROR_REPORT_MS 30000

/* ---- how far it is ---- */

static void report(void *arg)
{
    struct mirror *m = arg;

    buf_printf(&m->ctl->out, "%" PRId64 "\n", m->total);
    if (ctl_flush(m->ctl) == CTL_OK)
        ketch_after(m->from, MIRROR_REPORT_MS, report, m);
}

/* ---- the destination ---- */

static struct ctl_target *destination(struct ctl *ctl)
{
    const struct cli_call *call = ctl->call;
    struct ctl_target flags = {
        .token = "",
        .user = cli_string(call, "dest-user"),
        .password = cli_string(call, "dest-password"),
        .tls = {.enabled = !cli_bool(call, "dest-insecure-transport"),
                .ca_file = cli_string(call, "dest-cacert"),
                .cert_file = cli_string(call, "dest-cert"),
                .key_file = cli_string(call, "dest-key")},
    };
    struct ctl_target *t = ctl_target(ctl, &flags, "Destination Password: ");

    t->endpoints = &call->args[0];
    t->endpoint_count = 1;
    return t;
}

/* ---- what is called what ---- */

static void name_keys(struct mirror *m)
{
    const struct cli_call *call = m->ctl->call;

    m->prefix = bytes_str(cli_string(call, "prefix"));
    m->dest_prefix = bytes_str(cli_string(call, "dest-prefix"));
    /* Only with the copy of what is there: with --rev the prefix goes.  So does etcdctl. */
    if (m->revision == 0 && m->dest_prefix.n == 0 && !cli_bool(call, "no-dest-prefix"))
        m->dest_prefix = m->prefix;
}

static int run(struct mirror *m)
{
    const struct cli_call *call = m->ctl->call;
    int status = CTL_OK;

    if (cli_bool(call, "no-dest-prefix") && cli_string(call, "dest-prefix")[0] != 0)
        return cli_fail(CTL_BAD_ARGS, "`--dest-prefix` and `--no-dest-prefix` cannot be set at the "
                                      "same time, choose one");
    m->ops_max = cli_uint(call, "max-txn-ops");
    m->revision = cli_int(call, "rev") > 1 ? cli_int(call, "rev") : 0;
    name_keys(m);
    ketch_after(m->from, MIRROR_REPORT_MS, report, m);
    if (m->revision == 0)
        status = mirror_base(m);
    return status == CTL_OK ? mirror_updates(m) : status;
}

static int make_mirror_run(struct cli_call *call)
{
    struct ctl ctl;
    struct mirror m = {.ctl = &ctl};
    const struct ctl_target *to = NULL;
    int status;

    if (call->arg_count != 1)
        return cli_fail(CTL_BAD_ARGS, "make-mirror takes one destination argument");
    status = ctl_init(&ctl, call);
    if (status == CTL_OK) {
        to = destination(&ctl); /* asks for its password first, as etcdctl does */
        status = ctl_open_client(&ctl);
    }
    m.from = ctl.client;
    if (status == CTL_OK)
        status = ctl_connect_to(&ctl, to, m.from, &m.to);
    if (status == CTL_OK)
        status = run(&m);
    ketch_close(m.to);
    return ctl_close(&ctl, status);
}

static const struct cli_flag make_mirror_flags[] = {
    {.name = "prefix", .type = CLI_STRING, .help = "mirror the keys with this prefix"},
    {.name = "rev",
     .type = CLI_INT,
     .help = "mirror the changes from this revision on, and not what was there before"},
    {.name = "max-txn-ops",
     .type = CLI_UINT,
     .def = "128",
     .help = "operations in one transaction at the destination, at most"},
    {.name = "dest-prefix",
     .type = CLI_STRING,
     .help = "prefix that takes the place of --prefix at the destination"},
    {.name = "no-dest-prefix",
     .type = CLI_BOOL,
     .help = "leave the prefix away at the destination"},
    {.name = "dest-cert",
     .type = CLI_STRING,
     .help = "client certificate to show to the destination"},
    {.name = "dest-key", .type = CLI_STRING, .help = "its key"},
    {.name = "dest-cacert",
     .type = CLI_STRING,
     .help = "CA bundle that the destination's certificate is verified with"},
    {.name = "dest-insecure-transport",
     .type = CLI_BOOL,
     .def = "true",
     .help = "no TLS to the destination"},
    {.name = "dest-user",
     .type = CLI_STRING,
     .help = "name[:password] at the destination (asked for when it is not given)"},
    {.name = "dest-password",
     .type = CLI_STRING,
     .help = "password at the destination; --dest-user is the name alone then"},
};

const struct cli_command make_mirror_command = {
    .use = "make-mirror [options] <destination>",
    .brief = "Makes a mirror at the destination etcd cluster",
    .about = "Copies all keys, or those with a prefix, to another cluster, and then every change\n"
             "until it is stopped. Leases are not copied. Every 30 seconds the number of keys\n"
             "written so far is printed.",
    .group = GROUP_UTILITY,
    CLI_FLAGS(make_mirror_flags),
    .run = make_mirror_run,
};
