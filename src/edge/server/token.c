/* --auth-token: which kind, and simple tokens as they are written. */
#include <errno.h>
#include <stdio.h>

#include "edge/server/server.h"
#include "edge/server/token_int.h"
#include "obs/gofmt.h"

#define OPTIONS_MAX 16
#define READ_BYTES 4096
#define UNKNOWN_BYTES_MAX 4096 /* names of options */

bool server_simple_tokens(const struct config *c)
{
    const char *s = c->auth_token;
    size_t n = strlen("simple");

    return strncmp(s, "simple", n) == 0 && (s[n] == 0 || s[n] == ',');
}

bool token_is_simple(const struct tokens *t)
{
    return t->kind == TOKENS_SIMPLE;
}

/* Two parts, the second a decimal number (Go's strconv.ParseUint). */
bool token_index(struct bytes token, uint64_t *ret)
{
    const uint8_t *dot = token.n == 0 ? NULL : memchr(token.p, '.', token.n), *p;
    const uint8_t *end = token.p + token.n;
    uint64_t v = 0;

    if (dot == NULL || dot + 1 == end)
        return false;
    for (p = dot + 1; p < end; p++) {
        unsigned d = (unsigned) *p - '0';

        if (d > 9 || v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    *ret = v;
    return true;
}

/* ---- options ---- */

struct option {
    char *name;
    char *value;
};

/* Cuts "a=b,c=d" in place; false: not of that form, or a name comes twice. */
static bool split(char *s, struct option *v, size_t *ret_n)
{
    size_t n = 0;

    while (s != NULL) {
        char *next = strchr(s, ','), *eq;

        if (next != NULL)
            *next++ = 0;
        eq = strchr(s, '=');
        if (n == OPTIONS_MAX || eq == NULL || strchr(eq + 1, '=') != NULL)
            return false;
        *eq = 0;
        v[n] = (struct option){s, eq + 1};
        for (size_t i = 0; i < n; i++) {
            if (strcmp(v[i].name, s) == 0)
                return false;
        }
        n++;
        s = next;
    }
    *ret_n = n;
    return true;
}

static int read_file(const char *path, struct buf *out, struct err *e)
{
    FILE *f = path[0] == 0 ? NULL : fopen(path, "re");
    int rc = 0;

    if (path[0] == 0)
        return 0;
    if (f == NULL)
        return err_sys(e, errno, "open %s", path);
    while (rc == 0) {
        uint8_t *p = buf_reserve(out, READ_BYTES);
        size_t n = p == NULL ? 0 : fread(p, 1, READ_BYTES, f);

        if (p == NULL)
            rc = err_set(e, ERR_INVALID, "%s is longer than %zu bytes", path, out->bytes_max);
        else if (ferror(f))
            rc = err_sys(e, errno, "read %s", path);
        if (n == 0)
            break;
        buf_commit(out, n);
    }
    fclose(f);
    return rc;
}

static const char *option_of(const struct option *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(v[i].name, name) == 0)
            return v[i].value;
    }
    return "";
}

static void note_unknown(struct tokens *t, const struct option *v, size_t n)
{
    static const char *const known[] = {"sign-method", "pub-key", "priv-key", "ttl"};

    for (size_t i = 0; i < n; i++) {
        bool found = false;

        for (size_t k = 0; k < ARRAY_LEN(known); k++)
            found |= strcmp(v[i].name, known[k]) == 0;
        if (!found)
            buf_printf(&t->unknown, "%s%s", t->unknown.len == 0 ? "" : " ", v[i].name);
    }
}

static int open_keys(struct tokens *t, const struct option *v, size_t n, struct err *e)
{
    struct buf secret, open;
    int rc;

    buf_init(&secret, SIGN_KEY_FILE_BYTES_MAX);
    buf_init(&open, SIGN_KEY_FILE_BYTES_MAX);
    rc = read_file(option_of(v, n, "pub-key"), &open, e);
    if (rc == 0)
        rc = read_file(option_of(v, n, "priv-key"), &secret, e);
    if (rc == 0)
        rc = sign_key_open(t->method, buf_bytes(&secret), buf_bytes(&open), &t->key, e);
    if (secret.p != NULL)
        secret_wipe(secret.p, secret.cap);
    buf_done(&secret);
    buf_done(&open);
    return rc;
}

static int open_jwt(struct tokens *t, const struct option *v, size_t n, struct err *e)
{
    const char *ttl;

    t->kind = TOKENS_JWT;
    t->method = sign_method_find(option_of(v, n, "sign-method"));
    t->ttl_ns = TOKEN_TTL_NS;
    ttl = option_of(v, n, "ttl");
    if ((ttl[0] != 0 && !go_duration_parse(ttl, &t->ttl_ns)) || t->method == SIGN_METHODS)
        return err_set(e, ERR_INVALID, "auth: invalid auth options");
    note_unknown(t, v, n);
    return open_keys(t, v, n, e);
}

int tokens_new(const char *spec, struct tokens **ret, const char **ret_unknown, struct err *e)
{
    struct tokens *t = xmem_calloc(1, sizeof *t);
    char *s = xmem_strdup(spec), *rest = strchr(s, ',');
    struct option v[OPTIONS_MAX];
    size_t n = 0;
    int rc = 0;

    buf_init(&t->unknown, UNKNOWN_BYTES_MAX);
    if (rest != NULL)
        *rest++ = 0;
    if (!split(rest, v, &n))
        rc = err_set(e, ERR_INVALID, "auth: invalid auth options");
    else if (strcmp(s, "jwt") == 0)
        rc = open_jwt(t, v, n, e);
    else if (strcmp(s, "simple") == 0)
        t->kind = TOKENS_SIMPLE;
    else if (s[0] == 0)
        t->kind = TOKENS_NONE;
    else
        rc = err_set(e, ERR_INVALID, "auth: invalid auth options");
    mem_free(s);
    if (rc != 0) {
        tokens_free(t);
        return err_wrap(e, rc, "--auth-token");
    }
    *ret_unknown = buf_cstr(&t->unknown);
    *ret = t;
    return 0;
}

void tokens_free(struct tokens *t)
{
    if (t == NULL)
        return;
    for (unsigned i = 0; i < TOKEN_THREADS_MAX; i++)
        token__cache_free(t->caches[i]);
    sign_key_close(t->key);
    buf_done(&t->unknown);
    mem_free(t);
}
