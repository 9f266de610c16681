/* slices_rig.h -- an I/O thread that is turned by hand, with one method of the test's that takes
 * slices, and a client of it.  A request of that method is one byte: the number of what is asked.
 */
#ifndef KETCH_TESTS_UNIT_EDGE_SERVER_SLICES_RIG_H
#define KETCH_TESTS_UNIT_EDGE_SERVER_SLICES_RIG_H

#include <netinet/tcp.h>

#include "edge/server/server_int.h"
#include "unit/engine/net/turn_rig.h"

#define SLICES_PATH "/t.T/Ask"

static struct io io;
static int client;

/* The stream on which `i` is asked for. */
static inline uint32_t slices_stream(unsigned i)
{
    return 1 + 2u * i;
}

/* Behind the headers. */
static inline void slices_add_request(struct buf *b, uint8_t i)
{
    uint8_t m[6] = {0, 0, 0, 0, 1, i};

    raw_frame(b, RAW_DATA, RAW_END_STREAM, slices_stream(i), m, sizeof m);
}

static inline void slices_add_cancel(struct buf *b, uint8_t i)
{
    static const uint8_t cancel[4] = {0, 0, 0, 8};

    raw_frame(b, RAW_RST_STREAM, 0, slices_stream(i), cancel, sizeof cancel);
}

static inline void slices_begin(void (*ask)(struct call *c, struct bytes m))
{
    static struct net_method asked[] = {{.path = SLICES_PATH, .kind = NET_UNARY}};
    int on = 1; /* else what is sent waits for what was */

    asked[0].request = ask;
    memset(&io, 0, sizeof io);
    turns_begin(asked, ARRAY_LEN(asked), NULL);
    io.loop = turns.w.loop;
    long_reads_init(&io.long_reads);
    client = turns_connect();
    assert_int_equal(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
}

/* Whatever has become of what was asked, nothing of it is left. */
static inline void slices_end(void)
{
    close(client);
    turns_end();
    assert_true(long_reads_none(&io.long_reads));
    assert_int_equal(io.outstanding, 0);
}

#endif
