/* gzip.h -- messages compressed with gzip (RFC 1952), as grpc-go's codec "gzip" reads and writes
 * them.
 *
 * Reading is bounded by what comes out: at most `max` bytes and one are made, in steps, so that a
 * small message that would inflate to gigabytes costs no more than a large one.
 *
 * Threads: any, one at a time per object.
 */
#ifndef KETCH_ENGINE_NET_GZIP_H
#define KETCH_ENGINE_NET_GZIP_H

#include "base/buf.h"

#define GZIP_TEXT_BYTES 128

/* Appends what the members in `in` inflate to.  A gRPC status: OK, or another and its text, which
 * is grpc-go's.  `out` may hold a beginning then. */
NODISCARD int gzip_inflate(struct bytes in, size_t max, struct buf *out,
                           char text[GZIP_TEXT_BYTES]);

/* One member in steps.  begin and end make a pair; false: no memory, or `out` refuses. */
struct gzip_writer;
NODISCARD struct gzip_writer *gzip_begin(struct buf *out);
NODISCARD bool gzip_add(struct gzip_writer *w, struct bytes in);
NODISCARD bool gzip_finish(struct gzip_writer *w); /* the last bytes */
void gzip_end(struct gzip_writer *w);

#endif
