/* Command line (Go's flag package) and environment. */
#include "edge/server/config.h"
#include "edge/server/goparse.h"

/* Flags of long ago, accepted with or without a value and without effect. */
static const char *const IGNORED[] = {
    "cluster-active-size",
    "cluster-remove-delay",
    "cluster-sync-interval",
    "config",
    "force",
    "max-result-buffer",
    "max-retry-attempts",
    "peer-heartbeat-interval",
    "peer-election-timeout",
    "retry-interval",
    "snapshot",
    "v",
    "vv",
    "test.coverprofile",
    "test.outputdir",
};

static bool ignored(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(IGNORED); i++) {
        if (strlen(IGNORED[i]) == n && memcmp(IGNORED[i], name, n) == 0)
            return true;
    }
    return false;
}

static enum config_parse usage(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

static enum config_parse usage(struct err *e, const char *fmt, ...)
{
    char text[ERR_MSG_BYTES];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(e, ERR_INVALID, "%s", text);
    return CONFIG_USAGE;
}

static enum config_parse bad_value(const struct config_field *f, const char *value, const char *why,
                                   struct err *e)
{
    if (f->type == CONFIG_TYPE_BOOL)
        return usage(e, "invalid boolean value \"%s\" for -%s: %s", value, f->flag, why);
    return usage(e, "invalid value \"%s\" for flag -%s: %s", value, f->flag, why);
}

/* One argument that begins with a dash; *at moves over what was used. */
static enum config_parse parse_one(struct config *c, char *const *argv, size_t *at, struct err *e)
{
    const char *arg = argv[*at];
    const char *name = arg + (arg[1] == '-' ? 2 : 1);
    size_t n = strcspn(name, "=");
    const char *value = name[n] == '=' ? name + n + 1 : NULL;
    size_t i = config_find(name, n);
    struct err why = ERR_INIT;

    ++*at;
    if (n == 0 || name[0] == '-')
        return usage(e, "bad flag syntax: %s", arg);
    if (i == CONFIG_FIELDS_N && ignored(name, n))
        return CONFIG_PARSED;
    if (i == CONFIG_FIELDS_N &&
        ((n == 4 && memcmp(name, "help", 4) == 0) || (n == 1 && *name == 'h')))
        return CONFIG_HELP;
    if (i == CONFIG_FIELDS_N)
        return usage(e, "flag provided but not defined: -%.*s", (int) n, name);
    if (value == NULL && config_fields[i].type == CONFIG_TYPE_BOOL)
        value = "true";
    if (value == NULL && argv[*at] == NULL)
        return usage(e, "flag needs an argument: -%.*s", (int) n, name);
    if (value == NULL)
        value = argv[(*at)++];
    if (config_set(c, i, value, &why) != 0)
        return bad_value(&config_fields[i], value, why.msg, e);
    c->given[i] = true;
    return CONFIG_PARSED;
}

enum config_parse config_parse_flags(struct config *c, char *const *argv, const char **ret_rest,
                                     struct err *e)
{
    size_t at = 1;

    *ret_rest = NULL;
    if (argv[0] == NULL)
        return CONFIG_PARSED;
    while (argv[at] != NULL) {
        enum config_parse r;

        if (argv[at][0] != '-' || argv[at][1] == 0)
            break;
        if (strcmp(argv[at], "--") == 0) {
            at++;
            break;
        }
        r = parse_one(c, argv, &at, e);
        if (r != CONFIG_PARSED)
            return r;
    }
    *ret_rest = argv[at];
    return CONFIG_PARSED;
}

/* ---- environment ---- */

/* "ETCD_MAX_WALS" of n bytes -> the field, or CONFIG_FIELDS_N; *ret_ignored for the old ones. */
static size_t find_env(const char *name, size_t n, bool *ret_ignored)
{
    char flag[64];

    *ret_ignored = false;
    if (n <= 5 || n - 5 >= sizeof flag)
        return CONFIG_FIELDS_N;
    for (size_t i = 5; i < n; i++) {
        char ch = name[i];

        flag[i - 5] = (char) (ch == '_' ? '-' : ch >= 'A' && ch <= 'Z' ? ch - 'A' + 'a' : 0);
        if (ch >= '0' && ch <= '9')
            flag[i - 5] = ch;
    }
    *ret_ignored = ignored(flag, n - 5);
    return config_find(flag, n - 5);
}

static int apply_env(struct config *c, const char *pair, struct log *log, struct err *e)
{
    size_t n = strcspn(pair, "=");
    const char *value = pair + n + 1;
    bool old;
    size_t i = find_env(pair, n, &old);
    struct bytes name = bytes_of(pair, n);
    struct err why = ERR_INIT;

    if (old)
        return 0;
    if (i == CONFIG_FIELDS_N) {
        if (n != strlen("ETCD_UNSUPPORTED_ARCH") || memcmp(pair, "ETCD_UNSUPPORTED_ARCH", n) != 0)
            LOG_WARN(log, "unrecognized environment variable", F_STR("environment-variable", pair));
        return 0;
    }
    if (i == CONFIG_version) {
        LOG_WARN(log, "cannot set special environment variable", F_BYTES("key", name),
                 F_STR("value", value));
        return 0;
    }
    if (c->given[i])
        LOG_FATAL(log,
                  "conflicting environment variable is shadowed by corresponding command-line "
                  "flag (either unset environment variable or disable flag))",
                  F_BYTES("environment-variable", name));
    if (*value == 0)
        return 0;
    if (config_set(c, i, value, &why) != 0)
        return err_set(e, ERR_INVALID, "invalid value \"%s\" for %.*s: %s", value, (int) n, pair,
                       why.msg);
    LOG_INFO(log, "recognized and used environment variable", F_BYTES("variable-name", name),
             F_STR("variable-value", value));
    return (int) i + 1;
}

int config_parse_env(struct config *c, char *const *envp, struct log *log, struct err *e)
{
    bool from_env[CONFIG_FIELDS_N] = {false};

    for (; envp != NULL && *envp != NULL; envp++) {
        int rc;

        if (strncmp(*envp, "ETCD_", 5) != 0 || strchr(*envp, '=') == NULL)
            continue;
        rc = apply_env(c, *envp, log, e);
        if (rc < 0)
            return rc;
        if (rc > 0)
            from_env[rc - 1] = true;
    }
    for (size_t i = 0; i < CONFIG_FIELDS_N; i++)
        c->given[i] = c->given[i] || from_env[i];
    return 0;
}
