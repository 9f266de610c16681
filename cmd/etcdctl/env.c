/* env.c -- flags from environment variables.
 *
 * ETCDCTL_ and the flag's name in capitals, - as _.  Only inherited flags are read.  A flag given
 * on the command line and in the environment is an error: neither has precedence.
 */
#include <ctype.h>

#include "cli/json_out.h"
#include "etcdctl/ctl.h"

#define ENV_PREFIX "ETCDCTL_"
#define ENV_NAME_BYTES 128

extern char **environ;

static void variable_of(const struct cli_flag *f, char name[ENV_NAME_BYTES])
{
    size_t n = (size_t) snprintf(name, ENV_NAME_BYTES, ENV_PREFIX "%s", f->name);

    ASSERT(n < ENV_NAME_BYTES);
    for (char *p = name; *p != 0; p++)
        *p = *p == '-' ? '_' : (char) toupper((unsigned char) *p);
}

/* Is the variable NAME=... this flag's? */
static bool is_variable_of(const char *variable, const struct cli_flag *f)
{
    char name[ENV_NAME_BYTES];
    size_t n = strcspn(variable, "=");

    variable_of(f, name);
    return strlen(name) == n && memcmp(variable, name, n) == 0;
}

static void log_variable(const char *level, const char *caller, const char *msg,
                         struct bytes variable)
{
    struct buf b;

    buf_init(&b, CLI_PAGE_BYTES_MAX);
    buf_add_str(&b, "\"environment-variable\":");
    json_escape(&b, variable);
    ctl_log(level, NULL, caller, msg, buf_cstr(&b));
    buf_done(&b);
}

/* watch has two of its own, read elsewhere. */
static bool is_known_elsewhere(const struct cli_call *call, const char *variable)
{
    struct bytes name = bytes_of(variable, strcspn(variable, "="));

    return bytes_eq(cli_command_name(cli_command(call)), BYTES_LIT("watch")) &&
           (bytes_eq(name, BYTES_LIT("ETCDCTL_WATCH_KEY")) ||
            bytes_eq(name, BYTES_LIT("ETCDCTL_WATCH_RANGE_END")));
}

/* The inherited flag that the variable is for; NULL: none. */
static struct cli_value *value_for(struct cli_call *call, const char *variable)
{
    for (size_t i = call->own_count; i < call->value_count; i++)
        if (is_variable_of(variable, call->values[i].flag))
            return &call->values[i];
    return NULL;
}

static int check_conflict(struct cli_call *call, const char *variable)
{
    static const char msg[] =
        "conflicting environment variable is shadowed by corresponding command-line flag (either "
        "unset environment variable or disable flag))";
    const struct cli_value *v = value_for(call, variable);

    if (v == NULL || !v->changed)
        return CTL_OK;
    log_variable("fatal", "flags/flag.go:86", msg, bytes_of(variable, strcspn(variable, "=")));
    return CTL_ERROR;
}

int ctl_read_environment(struct cli_call *call)
{
    for (char **p = environ; *p != NULL; p++)
        if (check_conflict(call, *p) != CTL_OK)
            return CTL_ERROR;
    for (char **p = environ; *p != NULL; p++) {
        const char *text = strchr(*p, '=');
        struct cli_value *v = value_for(call, *p);

        if (strncmp(*p, ENV_PREFIX, strlen(ENV_PREFIX)) != 0 || text == NULL)
            continue;
        if (v == NULL && is_known_elsewhere(call, *p))
            continue;
        if (v == NULL || text[1] == 0) {
            log_variable("warn", "flags/flag.go:94", "unrecognized environment variable",
                         bytes_str(*p));
            continue;
        }
        /* A value that does not parse is passed over without a word, as etcdctl does. */
        if (cli_value_set(v, text + 1, &call->arena, NULL) != 0)
            continue;
    }
    return CTL_OK;
}
