/* tls_seal.c -- output: what a session has written in one round becomes records. */
#define _GNU_SOURCE
#include <openssl/err.h>

#include "engine/net/tls_conn_int.h"

static bool seal(struct tls_conn *t, const void *p, size_t n)
{
    size_t done;

    return n == 0 || (SSL_write_ex(t->ssl, p, n, &done) == 1 && done == n);
}

/* The pieces of the queue in records as long as they may be: long pieces from where they lie, the
 * rest put together first. */
static bool seal_pieces(struct tls_conn *t, const struct iovec *iov, int iov_n, uint8_t *stage,
                        size_t *staged)
{
    for (int i = 0; i < iov_n; i++) {
        const uint8_t *p = iov[i].iov_base;
        size_t n = iov[i].iov_len;

        while (n > 0) {
            size_t k = n - n % NET_RECORD_BYTES;

            if (*staged == 0 && k > 0) {
                if (!seal(t, p, k))
                    return false;
            } else {
                k = MIN(n, NET_RECORD_BYTES - *staged);
                memcpy(stage + *staged, p, k);
                *staged += k;
                if (*staged == NET_RECORD_BYTES && !seal(t, stage, *staged))
                    return false;
                *staged %= NET_RECORD_BYTES;
            }
            p += k;
            n -= k;
        }
    }
    return true;
}

#define IOV_MAX_USED 64

bool tls_conn__seal(struct conn *c)
{
    struct tls_conn *t = c->tls;
    struct iovec iov[IOV_MAX_USED];
    size_t staged = 0;
    bool ok = true;

    if (c->out.bytes == 0)
        return true;
    ASSERT(t->state == TLS_OPEN);
    if (t->wire.bytes == 0)
        outq_lend(&t->wire, c->loop->seal_buf, LOOP_SEAL_BYTES);
    ERR_clear_error();
    while (c->out.bytes > 0 && ok) {
        int n = outq_iov(&c->out, iov, IOV_MAX_USED);
        size_t bytes = 0;

        for (int i = 0; i < n; i++)
            bytes += iov[i].iov_len;
        ok = seal_pieces(t, iov, n, c->loop->stage_buf, &staged);
        outq_consume(&c->out, bytes);
    }
    return ok && seal(t, c->loop->stage_buf, staged);
}

struct outq *tls_conn__wire(struct conn *c)
{
    return &c->tls->wire;
}

bool tls_conn__farewell(struct conn *c)
{
    struct tls_conn *t = c->tls;

    if (t->state != TLS_OPEN || t->farewell_said)
        return false;
    t->farewell_said = true;
    ERR_clear_error();
    (void) SSL_shutdown(t->ssl);
    return t->wire.bytes > 0;
}
