/* Usage, help and version. */
#include "edge/server/config.h"

#define HELP_WIDTH 100

const char *config_version(const struct config *c)
{
    if (strcmp(c->emulated_version, "3.5") == 0)
        return "3.5.30";
    return strcmp(c->emulated_version, "3.6") == 0 ? "3.6.7" : "3.7.1";
}

void config_print_usage(FILE *f)
{
    fputs("Usage:\n"
          "\n"
          "  etcd [flags]\n"
          "    Start an etcd server.\n"
          "\n"
          "  etcd --version\n"
          "    Show the version of etcd.\n"
          "\n"
          "  etcd -h | --help\n"
          "    Show the help information about etcd.\n"
          "\n"
          "  etcd --config-file\n"
          "    Path to the server configuration file. Note that if a configuration file is "
          "provided, other command line flags and environment variables will be ignored.\n"
          "\n",
          f);
}

/* Words of `text` in lines of HELP_WIDTH, each line indented. */
static void print_wrapped(FILE *f, const char *text)
{
    size_t at = 0;

    fputs("    ", f);
    while (*text != 0) {
        size_t n = strcspn(text, " ");

        if (at != 0 && at + 1 + n > HELP_WIDTH - 4) {
            fputs("\n    ", f);
            at = 0;
        }
        if (at != 0) {
            fputc(' ', f);
            at++;
        }
        fwrite(text, 1, n, f);
        at += n;
        text += n;
        text += strspn(text, " ");
    }
    fputc('\n', f);
}

void config_print_help(FILE *f)
{
    static const struct {
        size_t first;
        const char *title;
    } groups[] = {
        {CONFIG_name, "Member"},
        {CONFIG_initial_advertise_peer_urls, "Clustering"},
        {CONFIG_cert_file, "Security"},
        {CONFIG_auth_token, "Auth"},
        {CONFIG_enable_pprof, "Profiling, metrics, logging and tracing"},
        {CONFIG_feature_gates, "Features"},
        {CONFIG_unsafe_no_fsync, "Unsafe feature"},
        {CONFIG_config_file, "Program"},
        {CONFIG_emulated_version, "Ketch"},
    };

    for (size_t i = 0; i < CONFIG_FIELDS_N; i++) {
        const struct config_field *c = &config_fields[i];

        for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
            if (groups[g].first == i)
                fprintf(f, "%s%s:\n\n", i == 0 ? "" : "\n", groups[g].title);
        }
        fprintf(f, "  --%s '%s'\n", c->flag, c->dflt);
        print_wrapped(f, c->help);
    }
    fputs("\nFeature gates:\n\n", f);
    for (size_t i = 0; i < config_gates_known_n; i++)
        fprintf(f, "  %s=true|false (%s - default=%s)\n", config_gates_known[i].name,
                config_gates_known[i].beta ? "BETA" : "ALPHA",
                config_gates_known[i].dflt ? "true" : "false");
}

void config_print_version(FILE *f, const struct config *c)
{
    fprintf(f,
            "etcd Version: %s\n"
            "Git SHA: Not provided (ketch %s)\n"
            "Go Version: none (C17)\n"
            "Go OS/Arch: linux/amd64\n",
            config_version(c), KETCH_VERSION);
}
