/* conn_output.h -- what a connection without a socket would write. */
#ifndef KETCH_TESTS_FUZZ_CONN_OUTPUT_H
#define KETCH_TESTS_FUZZ_CONN_OUTPUT_H

#include "base/buf.h"
#include "engine/net/conn.h"

/* Appends to `out` all that is to be written, as if a socket took it. */
static inline void conn_output_take(struct conn *c, struct buf *out)
{
    struct iovec iov[64];

    while (c->out.bytes > 0) {
        int n = outq_iov(&c->out, iov, 64);
        size_t took = 0;

        for (int i = 0; i < n; i++) {
            buf_add(out, iov[i].iov_base, iov[i].iov_len);
            took += iov[i].iov_len;
        }
        outq_consume(&c->out, took);
    }
}

/* From `at` on it is frames of HTTP/2 that are whole and of legal length. */
static inline void conn_output_check_frames(const struct buf *out, size_t at)
{
    while (at < out->len) {
        size_t n;

        ASSERT(out->len - at >= 9);
        n = (size_t) out->p[at] << 16 | (size_t) out->p[at + 1] << 8 | out->p[at + 2];
        ASSERT(n <= 16384);
        ASSERT(out->len - at >= 9 + n);
        at += 9 + n;
    }
}

#endif
