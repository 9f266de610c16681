/* The table at run time, defaults, single values, and the order in which sources are asked. */
#define _POSIX_C_SOURCE 200809L
#include "edge/server/config.h"

#include <errno.h>

#include "base/alloc.h"
#include "edge/server/goparse.h"
#include "engine/net/url.h"
#include "obs/gofmt.h"

const struct config_field config_fields[CONFIG_KEYS_N] = {
#define X(type, field, flag, dflt, key, help) \
    {flag, key, dflt, help, CONFIG_TYPE_##type, offsetof(struct config, field)},
    CONFIG_FIELDS(X) CONFIG_FILE_FIELDS(X)
#undef X
};

size_t config_find(const char *flag, size_t n)
{
    for (size_t i = 0; i < CONFIG_FIELDS_N; i++) {
        if (strlen(config_fields[i].flag) == n && memcmp(config_fields[i].flag, flag, n) == 0)
            return i;
    }
    return CONFIG_FIELDS_N;
}

/* ---- one value ---- */

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory");
}

static int text_cmp(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Splits at commas into the arena; sorted and unique.  Each item passes `check` first, which may
 * replace it. */
static int list_parse(struct config *c, const char *value,
                      int (*check)(struct config *c, const char **item, struct err *e),
                      struct strings *ret, struct err *e)
{
    char *copy = arena_dup(&c->arena, value, strlen(value) + 1);
    const char **v = arena_calloc(&c->arena, CONFIG_LIST_MAX, sizeof *v);
    size_t n = 0, kept = 0;

    if (copy == NULL || v == NULL)
        return no_memory(e);
    for (char *p = copy; p != NULL;) {
        char *comma = strchr(p, ',');
        int rc;

        if (n == CONFIG_LIST_MAX)
            return err_set(e, ERR_LIMIT, "more than %d items", CONFIG_LIST_MAX);
        if (comma != NULL)
            *comma++ = 0;
        v[n] = p;
        rc = check == NULL ? 0 : check(c, &v[n], e);
        if (rc != 0)
            return rc;
        n++;
        p = comma;
    }
    qsort(v, n, sizeof *v, text_cmp);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(v[i], v[kept - 1]) != 0)
            v[kept++] = v[i];
    }
    *ret = (struct strings){v, kept};
    return 0;
}

static int check_url(struct config *c, const char **item, struct err *e)
{
    struct url u;
    int rc = url_parse(*item, &c->arena, &u, e);

    if (rc == 0)
        *item = u.text;
    return rc;
}

static int check_origin(struct config *c, const char **item, struct err *e)
{
    return strcmp(*item, "*") == 0 ? 0 : check_url(c, item, e);
}

static int one_of(const char *value, const char *const *allowed, const char *what, struct err *e)
{
    for (; *allowed != NULL; allowed++) {
        if (strcmp(value, *allowed) == 0)
            return 0;
    }
    return err_set(e, ERR_INVALID, "%s", what);
}

static int set_text(struct config *c, size_t i, const char *value, struct err *e)
{
    static const char *const states[] = {"new", "existing", NULL};
    static const char *const fallbacks[] = {"exit", "proxy", NULL};
    static const char *const v2[] = {"write-only", "write-only-skip-check", "write-only-drop-data",
                                     "gone", NULL};
    static const char *const levels[] = {"3.5", "3.6", "3.7", NULL};
    const char **to = (const char **) ((char *) c + config_fields[i].offset);
    char *copy = arena_dup(&c->arena, value, strlen(value) + 1);
    char what[128] = "invalid value";
    int rc = 0;

    if (copy == NULL)
        return no_memory(e);
    switch (config_fields[i].type) {
    case CONFIG_TYPE_STATE:
        rc = one_of(value, states, what, e);
        break;
    case CONFIG_TYPE_FALLBACK:
        rc = one_of(value, fallbacks, what, e);
        break;
    case CONFIG_TYPE_V2:
        snprintf(what, sizeof what, "invalid value \"%s\"", value);
        rc = one_of(value, v2, what, e);
        break;
    case CONFIG_TYPE_LEVEL:
        rc = one_of(value, levels, "must be 3.5, 3.6 or 3.7", e);
        break;
    case CONFIG_TYPE_GATES:
        rc = config_gates_check(value, e);
        break;
    default:
        break;
    }
    if (rc == 0)
        *to = copy;
    return rc;
}

/* etcd's own 32-bit flag shows the library's error as it is. */
static int set_uint32(const char *value, uint64_t *to, struct err *e)
{
    const char *why;
    int rc = 0;

    for (const char *p = value; *p != 0 && rc == 0; p++)
        rc = *p == '_' ? ERR_INVALID : 0;
    if (rc == 0)
        rc = go_uint_parse(value, UINT32_MAX, to, NULL);
    if (rc == 0)
        return 0;
    why = rc == ERR_LIMIT ? "value out of range" : "invalid syntax";
    return err_set(e, rc, "strconv.ParseUint: parsing \"%s\": %s", value, why);
}

static int set_list(struct config *c, size_t i, const char *value, struct err *e)
{
    struct strings *to = (struct strings *) ((char *) c + config_fields[i].offset);

    /* A list of who may come in that is given and empty must not let everybody in. */
    if (*value == 0 && config_fields[i].type != CONFIG_TYPE_NAMES) {
        /* An empty URL list leaves what is there. */
        if (config_fields[i].type != CONFIG_TYPE_URLS)
            *to = (struct strings){0};
        return 0;
    }
    switch (config_fields[i].type) {
    case CONFIG_TYPE_URLS:
        return list_parse(c, value, check_url, to, e);
    case CONFIG_TYPE_ORIGINS:
        return list_parse(c, value, check_origin, to, e);
    default:
        return list_parse(c, value, NULL, to, e);
    }
}

int config_set(struct config *c, size_t i, const char *value, struct err *e)
{
    void *to = (char *) c + config_fields[i].offset;

    ASSERT(i < CONFIG_KEYS_N);
    switch (config_fields[i].type) {
    case CONFIG_TYPE_BOOL:
        return go_bool_parse(value, to, e);
    case CONFIG_TYPE_UINT:
    case CONFIG_TYPE_UINT64:
        return go_uint_parse(value, UINT64_MAX, to, e);
    case CONFIG_TYPE_UINT32:
        return set_uint32(value, to, e);
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return go_int_parse(value, to, e);
    case CONFIG_TYPE_DURATION:
        return go_duration_parse(value, to) ? 0 : err_set(e, ERR_INVALID, "parse error");
    case CONFIG_TYPE_URLS:
    case CONFIG_TYPE_ORIGINS:
    case CONFIG_TYPE_STRINGS:
    case CONFIG_TYPE_NAMES:
        return set_list(c, i, value, e);
    default:
        return set_text(c, i, value, e);
    }
}

/* ---- the whole ---- */

void config_init(struct config *c)
{
    *c = (struct config){0};
    arena_init(&c->arena, CONFIG_ARENA_BYTES_MAX);
    for (size_t i = 0; i < CONFIG_KEYS_N; i++) {
        struct err e = ERR_INIT;

        if (config_fields[i].type == CONFIG_TYPE_NAMES)
            continue; /* none: set to "" they would be one */
        if (config_set(c, i, config_fields[i].dflt, &e) != 0)
            assert_fail(__FILE__, __LINE__, config_fields[i].flag);
    }
}

void config_done(struct config *c)
{
    arena_done(&c->arena);
}

static int file_read_text(struct config *c, const char *path, struct bytes *ret, struct err *e)
{
    FILE *f = fopen(path, "re");
    uint8_t *p;
    size_t n;

    if (f == NULL) {
        const char *why = errno == ENOENT   ? "no such file or directory"
                          : errno == EACCES ? "permission denied"
                                            : "input/output error";

        return err_set(e, err_from_errno(errno), "open %s: %s", path, why);
    }
    p = arena_alloc(&c->arena, CONFIG_FILE_BYTES_MAX + 1);
    n = p == NULL ? 0 : fread(p, 1, CONFIG_FILE_BYTES_MAX + 1, f);
    if (p == NULL || n > CONFIG_FILE_BYTES_MAX || ferror(f)) {
        bool failed = ferror(f) != 0;

        fclose(f);
        return failed ? err_set(e, ERR_IO, "read %s: input/output error", path)
                      : err_set(e, ERR_LIMIT, "read %s: larger than %d bytes", path,
                                CONFIG_FILE_BYTES_MAX);
    }
    fclose(f);
    *ret = bytes_of(p, n);
    return 0;
}

/* The file alone counts: everything starts again from the defaults. */
static int load_file(struct config *c, const char *path, const struct config_source *src,
                     struct log *log, int *ret_status)
{
    struct err e = ERR_INIT;
    struct bytes text;
    bool plain = false;
    const char *name = arena_dup(&c->arena, path, strlen(path) + 1);
    int rc;

    *ret_status = 1;
    c->from_file = true;
    rc = name == NULL ? no_memory(&e) : file_read_text(c, name, &text, &e);
    if (rc == 0)
        rc = config_parse_yaml(c, text, &plain, &e);
    if (rc != 0 && plain)
        fprintf(src->err, "%s\n", e.msg);
    else if (rc != 0)
        LOG_WARN(log, "failed to verify flags", F_ERR(&e));
    else
        LOG_INFO(log,
                 "loaded server configuration, other configuration command line flags and "
                 "environment variables will be ignored if provided",
                 F_STR("path", name));
    return rc;
}

static const char *env_get(char *const *envp, const char *name)
{
    size_t n = strlen(name);

    for (; envp != NULL && *envp != NULL; envp++) {
        if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
            return *envp + n + 1;
    }
    return NULL;
}

static int load_flags(struct config *c, const struct config_source *src, const char **ret_rest,
                      int *ret_status)
{
    struct err e = ERR_INIT;

    switch (config_parse_flags(c, src->argv, ret_rest, &e)) {
    case CONFIG_PARSED:
        break;
    case CONFIG_HELP:
        config_print_usage(src->err);
        config_print_help(src->out);
        *ret_status = 0;
        return ERR_CANCELED;
    case CONFIG_USAGE:
        fprintf(src->err, "%s\n", e.msg);
        config_print_usage(src->err);
        *ret_status = 2;
        return ERR_INVALID;
    }
    if (c->version) {
        config_print_version(src->out, c);
        *ret_status = 0;
        return ERR_CANCELED;
    }
    return 0;
}

static int refused(struct log *log, const struct err *e, int *ret_status)
{
    LOG_WARN(log, "failed to verify flags", F_ERR(e));
    if (strncmp(e->msg, "--advertise-client-urls is required", 35) == 0)
        LOG_WARN(log, "advertise client URLs are not set", F_ERR(e));
    *ret_status = 1;
    return ERR_INVALID;
}

int config_load(struct config *c, const struct config_source *src, struct log *log, int *ret_status)
{
    struct err e = ERR_INIT;
    const char *rest = NULL, *path;
    int rc = load_flags(c, src, &rest, ret_status);

    if (rc != 0)
        return rc;
    if (rest != NULL) {
        err_set(&e, ERR_INVALID, "\"%s\" is not a valid flag", rest);
        return refused(log, &e, ret_status);
    }
    path = c->config_file;
    if (*path == 0 && env_get(src->envp, "ETCD_CONFIG_FILE") != NULL)
        path = env_get(src->envp, "ETCD_CONFIG_FILE");
    if (*path != 0) {
        char kept[4096];

        snprintf(kept, sizeof kept, "%s", path);
        config_done(c);
        config_init(c);
        rc = load_file(c, kept, src, log, ret_status);
        if (rc != 0)
            return rc;
    } else {
        rc = config_parse_env(c, src->envp, log, &e);
        if (rc != 0)
            return refused(log, &e, ret_status);
    }
    rc = config_check(c, &e);
    return rc == 0 ? 0 : refused(log, &e, ret_status);
}
