/* etcdctl -- the command line client. */
#include "etcdctl/ctl.h"

/* In the order in which suggestions name them. */
static const struct cli_command *const commands[] = {
    &get_command,         &put_command,
    &del_command,         &txn_command,
    &compaction_command,  &alarm_command,
    &defrag_command,      &endpoint_command,
    &move_leader_command, &watch_command,
    &version_command,     &lease_command,
    &member_command,      &snapshot_command,
    &make_mirror_command, &lock_command,
    &elect_command,       &auth_command,
    &user_command,        &role_command,
    &check_command,       &cli_completion_command,
    &downgrade_command,   &options_command,
    &cli_help_command,
};

static struct cli_command root = {
    .use = "etcdctl",
    .brief = "A simple command line client for etcd3.",
    .about = "etcdctl talks to the members of an etcd cluster: it reads, writes and watches keys,\n"
             "keeps leases, and looks after the cluster.",
    CLI_SUBS(commands),
};

int main(int argc, char **argv)
{
    static const char *const groups[] = {GROUP_KV,   GROUP_CLUSTER, GROUP_CONCURRENCY,
                                         GROUP_AUTH, GROUP_UTILITY, NULL};
    static const struct cli_program program = {
        .root = &root,
        .error_style = CLI_ERROR_ONCE,
        .prefix_match = true,
        .groups = groups,
        .hint = "Use \"etcdctl options\" for a list of global command-line options (applies to all "
                "commands).",
    };

    root.flags = global_flags;
    root.flag_count = global_flag_count;
    return cli_main(&program, argc, argv);
}
