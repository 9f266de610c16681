/* dial.h -- from a name to a connected socket: look-up, then each address in turn until one
 * answers.
 *
 * Threads: the loop's only; the look-up runs on libuv's pool.
 */
#ifndef KETCH_ENGINE_NET_DIAL_H
#define KETCH_ENGINE_NET_DIAL_H

#include "engine/net/loop_int.h"

struct dial;

/* `done` runs once, later: with a socket (the callee takes it), or fd -1 and the words of a failure
 * as Go has them ("dial tcp 127.0.0.1:2379: connect: connection refused"). */
NODISCARD struct dial *dial__start(struct loop *l, const char *host, uint16_t port,
                                   const char *unix_path,
                                   void (*done)(void *user, int fd, const char *why), void *user);
/* Before `done` ran: it never will. */
void dial__cancel(struct dial *d);

#endif
