/* gzip.h -- messages compressed with gzip (RFC 1952), as grpc-go's codec "gzip" reads and writes
 * them.
 *
 * Reading is bounded by what comes out: at most `max` bytes and one are made, in steps, so that a
 * small message that would inflate to gigabytes costs no more than a large one.  A step is bounded
 * by what goes in, too: there are megabytes of gzip that stand for nothing.
 *
 * Threads: any, one at a time per object.
 */
#ifndef KETCH_ENGINE_NET_GZIP_H
#define KETCH_ENGINE_NET_GZIP_H

#include "base/buf.h"

#define GZIP_TEXT_BYTES 128
#define GZIP_STEP_BYTES 4096

/* Appends what the members in `in` inflate to.  A gRPC status: OK, or another and its text, which
 * is grpc-go's.  `out` may hold a beginning then. */
NODISCARD int gzip_inflate(struct bytes in, size_t max, struct buf *out,
                           char text[GZIP_TEXT_BYTES]);

/* How much `in` says it inflates to; at most max, and 0 if that cannot be. */
size_t gzip_promised(struct bytes in, size_t max);

/* The same in steps.  `in` and `out` have to stay until read_end; NULL: no memory. */
struct gzip_reader;
NODISCARD struct gzip_reader *gzip_read_begin(struct bytes in, size_t max, struct buf *out);
/* Takes and makes GZIP_STEP_BYTES at most (and the head of a member, 66 KB).  True: it is over, and
 * *status is as gzip_inflate's. */
NODISCARD bool gzip_read_step(struct gzip_reader *r, int *status, char text[GZIP_TEXT_BYTES]);
void gzip_read_end(struct gzip_reader *r);

/* One member in steps.  begin and end make a pair; false: no memory, or `out` refuses. */
struct gzip_writer;
NODISCARD struct gzip_writer *gzip_begin(struct buf *out);
NODISCARD bool gzip_add(struct gzip_writer *w, struct bytes in);
NODISCARD bool gzip_finish(struct gzip_writer *w); /* the last bytes */
void gzip_end(struct gzip_writer *w);

#endif
