/* turn_client.h -- clients of turn_rig.h's server that ask in gzip, and take what it says frame by
 * frame as the loop is turned. */
#ifndef KETCH_TESTS_NET_TURN_CLIENT_H
#define KETCH_TESTS_NET_TURN_CLIENT_H

#include "unit/engine/net/turn_rig.h"

#define CLIENT_TAKE_BYTES (1u << 20) /* in one turn */

struct client {
    int fd;
    struct buf in;
    size_t parsed;
    struct buf messages; /* of stream 1, framed */
    int ended;           /* streams that came to their end */
};

static inline void client_open(struct client *x)
{
    *x = (struct client){.fd = turns_connect()};
    buf_init(&x->in, SIZE_MAX);
    buf_init(&x->messages, SIZE_MAX);
}

static inline void client_close(struct client *x)
{
    close(x->fd);
    buf_done(&x->in);
    buf_done(&x->messages);
}

/* The head of a call; timeout may be NULL. */
static inline void client_add_head(struct buf *b, const char *path, uint32_t id,
                                   const char *timeout)
{
    struct buf block;

    buf_init(&block, 4096);
    raw_request_block(&block, path);
    raw_literal(&block, "grpc-encoding", "gzip");
    if (timeout != NULL)
        raw_literal(&block, "grpc-timeout", timeout);
    raw_frame(b, RAW_HEADERS, RAW_END_HEADERS, id, block.p, block.len);
    buf_done(&block);
}

static inline void client_reset(struct client *x, uint32_t id)
{
    static const uint8_t cancel[4] = {0, 0, 0, 8};
    struct buf b;

    buf_init(&b, 64);
    raw_frame(&b, RAW_RST_STREAM, 0, id, cancel, sizeof cancel);
    assert_true(raw_send(x->fd, b.p, b.len));
    buf_done(&b);
}

/* Takes what has come, and the whole frames out of that. */
static inline void client_take(struct client *x)
{
    uint8_t *p = buf_reserve(&x->in, CLIENT_TAKE_BYTES);
    ssize_t n = recv(x->fd, p, CLIENT_TAKE_BYTES, MSG_DONTWAIT);

    if (n > 0)
        buf_commit(&x->in, (size_t) n);
    while (x->in.len - x->parsed >= 9) {
        const uint8_t *f = x->in.p + x->parsed;
        size_t length = be32_get(f) >> 8;

        if (x->in.len - x->parsed < 9 + length)
            break;
        if (f[3] == RAW_DATA && be32_get(f + 5) == 1)
            buf_add(&x->messages, f + 9, length);
        x->ended += f[3] == RAW_HEADERS && (f[4] & RAW_END_STREAM) != 0;
        x->parsed += 9 + length;
    }
}

static inline void client_wait(struct client *x, int ended)
{
    for (int i = 0; i < TURNS_MAX && x->ended < ended; i++) {
        turn();
        client_take(x);
    }
    assert_int_equal(x->ended, ended);
}

#endif
