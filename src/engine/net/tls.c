/* tls.c -- a TLS configuration: its options, its files, and what has become of them. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "engine/net/tls_int.h"

#define LIST_BYTES_MAX 8192

/* ---- options ---- */

static char *dup_or_null(const char *s)
{
    return s == NULL || s[0] == '\0' ? NULL : xmem_strdup(s);
}

static struct tls_names names_dup(struct tls_names from)
{
    char **v = xmem_calloc(from.n + 1, sizeof *v);

    for (size_t i = 0; i < from.n; i++)
        v[i] = xmem_strdup(from.v[i]);
    return (struct tls_names){(const char *const *) v, from.n};
}

static void names_free(struct tls_names names)
{
    for (size_t i = 0; i < names.n; i++)
        mem_free((void *) (uintptr_t) names.v[i]);
    mem_free((void *) (uintptr_t) names.v);
}

int tls_cipher_suites_check(struct tls_names names, struct err *e)
{
    for (size_t i = 0; i < names.n; i++) {
        if (tls__cipher_of(names.v[i]) == NULL)
            return err_set(e, ERR_INVALID, "unexpected TLS cipher suite \"%s\"", names.v[i]);
    }
    return 0;
}

/* OpenSSL's list for the names that were given. */
static int ciphers_of(struct tls *t, struct err *e)
{
    struct tls_names names = t->options.cipher_suites;
    char list[LIST_BYTES_MAX] = "";
    size_t n = 0;
    int rc = tls_cipher_suites_check(names, e);

    for (size_t i = 0; i < names.n && rc == 0 && n < sizeof list; i++) {
        const char *one = tls__cipher_of(names.v[i]);

        if (one[0] != '\0')
            n += (size_t) snprintf(list + n, sizeof list - n, "%s%s", n > 0 ? ":" : "", one);
    }
    t->ciphers = dup_or_null(list);
    return rc;
}

/* As Go prints a list of strings with %q: ["a" "b"]. */
static void quoted(struct tls_names names, char *out, size_t out_n)
{
    size_t n = (size_t) snprintf(out, out_n, "[");

    for (size_t i = 0; i < names.n && n < out_n; i++)
        n += (size_t) snprintf(out + n, out_n - n, "%s\"%s\"", i > 0 ? " " : "", names.v[i]);
    if (n < out_n)
        snprintf(out + n, out_n - n, "]");
}

static int check(const struct tls_options *o, struct err *e)
{
    const char *cert = o->cert_file == NULL ? "" : o->cert_file;
    const char *key = o->key_file == NULL ? "" : o->key_file;
    char cns[256], hosts[256];

    if ((cert[0] == '\0') != (key[0] == '\0') || (o->server && cert[0] == '\0'))
        return err_set(e, ERR_INVALID,
                       "KeyFile and CertFile must both be present[key: %s, cert: %s]", key, cert);
    if (o->allowed_cns.n > TLS_NAMES_MAX || o->allowed_hostnames.n > TLS_NAMES_MAX)
        return err_set(e, ERR_INVALID, "more than %d allowed names", TLS_NAMES_MAX);
    if (o->allowed_cns.n > 0 && o->allowed_hostnames.n > 0) {
        quoted(o->allowed_cns, cns, sizeof cns);
        quoted(o->allowed_hostnames, hosts, sizeof hosts);
        return err_set(e, ERR_INVALID,
                       "AllowedCNs and AllowedHostnames are mutually exclusive (cns=%s, "
                       "hostnames=%s)",
                       cns, hosts);
    }
    return 0;
}

static void options_copy(struct tls *t, const struct tls_options *o)
{
    t->options = *o;
    t->files[TLS_CERT] = dup_or_null(o->cert_file);
    t->files[TLS_KEY] = dup_or_null(o->key_file);
    t->files[TLS_CA] = dup_or_null(o->ca_file);
    t->files[TLS_CRL] = dup_or_null(o->crl_file);
    t->options.cert_file = t->options.key_file = t->options.ca_file = t->options.crl_file = NULL;
    t->options.min_version = dup_or_null(o->min_version);
    t->options.max_version = dup_or_null(o->max_version);
    t->options.server_name = dup_or_null(o->server_name);
    t->options.cipher_suites = names_dup(o->cipher_suites);
    t->options.allowed_cns = names_dup(o->allowed_cns);
    t->options.allowed_hostnames = names_dup(o->allowed_hostnames);
}

/* ---- files ---- */

static void mark(const char *path, struct tls_mark *ret)
{
    struct stat st;

    memset(ret, 0, sizeof *ret);
    if (path == NULL || stat(path, &st) != 0)
        return;
    ret->dev = (uint64_t) st.st_dev;
    ret->inode = (uint64_t) st.st_ino;
    ret->bytes = (uint64_t) st.st_size;
    ret->changed_ns[0] = (int64_t) st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    ret->changed_ns[1] = (int64_t) st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
}

/* Under the lock. */
static void reload(struct tls *t)
{
    SSL_CTX *ctx;
    struct err e = ERR_INIT;
    int rc = tls__ctx_new(t, &ctx, &e);

    if (rc == 0) {
        SSL_CTX_free(t->ctx);
        t->ctx = ctx;
    } else if (t->options.on_reload_failed != NULL) {
        t->options.on_reload_failed(t->options.user, e.msg, rc == ERR_NOT_FOUND);
    }
}

static void reload_crl(struct tls *t)
{
    tls__crl_unref(t->crl);
    t->crl = tls__crl_load(t->files[TLS_CRL]);
}

SSL_CTX *tls__context(struct tls *t, struct tls_crl **ret_crl)
{
    struct tls_mark now[TLS_FILES];
    SSL_CTX *ctx;
    bool crl_changed;

    /* Looked at before they are read: what changes in between is seen the next time. */
    for (size_t i = 0; i < TLS_FILES; i++)
        mark(t->files[i], &now[i]);
    uv_mutex_lock(&t->lock);
    if (memcmp(now, t->marks, sizeof now) != 0) {
        crl_changed = memcmp(&now[TLS_CRL], &t->marks[TLS_CRL], sizeof now[0]) != 0;
        memcpy(t->marks, now, sizeof now);
        /* Also for a new revocation list: tickets of before must not outlive it. */
        reload(t);
        if (crl_changed && t->files[TLS_CRL] != NULL)
            reload_crl(t);
    }
    ctx = t->ctx;
    SSL_CTX_up_ref(ctx);
    if (t->crl != NULL)
        atomic_fetch_add_explicit(&t->crl->refs, 1, memory_order_relaxed);
    *ret_crl = t->crl;
    uv_mutex_unlock(&t->lock);
    return ctx;
}

/* ---- life ---- */

int tls_new(const struct tls_options *o, struct tls **ret, struct err *e)
{
    struct tls *t;
    int rc = check(o, e);

    if (rc != 0)
        return rc;
    t = xmem_calloc(1, sizeof *t);
    atomic_init(&t->refs, 1);
    uv_mutex_init(&t->lock);
    options_copy(t, o);
    for (size_t i = 0; i < TLS_FILES; i++)
        mark(t->files[i], &t->marks[i]);
    rc = ciphers_of(t, e);
    if (rc == 0)
        rc = tls__ctx_new(t, &t->ctx, e);
    if (rc == 0 && t->files[TLS_CRL] != NULL)
        reload_crl(t);
    if (rc != 0) {
        tls_unref(t);
        return rc;
    }
    *ret = t;
    return 0;
}

struct tls *tls_ref(struct tls *t)
{
    if (t != NULL)
        atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tls_unref(struct tls *t)
{
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(t->ctx);
    tls__crl_unref(t->crl);
    for (size_t i = 0; i < TLS_FILES; i++)
        mem_free(t->files[i]);
    mem_free(t->ciphers);
    mem_free((void *) (uintptr_t) t->options.min_version);
    mem_free((void *) (uintptr_t) t->options.max_version);
    mem_free((void *) (uintptr_t) t->options.server_name);
    names_free(t->options.cipher_suites);
    names_free(t->options.allowed_cns);
    names_free(t->options.allowed_hostnames);
    uv_mutex_destroy(&t->lock);
    mem_free(t);
}
