/* by_hand.h -- listeners whose connections the test accepts, if anybody does, and answers itself.
 */
#ifndef KETCH_TESTS_NET_BY_HAND_H
#define KETCH_TESTS_NET_BY_HAND_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "lib/cm.h"

/* On a free port.  rcvbuf_bytes 0: the system's. */
static inline int listen_by_hand_small(int backlog, int rcvbuf_bytes, uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    if (rcvbuf_bytes != 0)
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf_bytes, sizeof rcvbuf_bytes),
                         0);
    assert_int_equal(bind(fd, (struct sockaddr *) &a, len), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &len), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static inline int listen_by_hand(uint16_t *ret_port)
{
    return listen_by_hand_small(8, 0, ret_port);
}

#endif
