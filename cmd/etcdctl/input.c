/* input.c -- standard input, by lines and as a whole, without stdio's read-ahead between the two.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <unistd.h>

#include "etcdctl/ctl.h"

#define INPUT_CHUNK_BYTES 4096
#define INPUT_BYTES_MAX ((size_t) INT32_MAX)

/* More bytes behind those read ahead; false at the end. */
static bool read_more(struct buf *b)
{
    uint8_t *p = buf_reserve(b, INPUT_CHUNK_BYTES);
    ssize_t n;

    if (p == NULL)
        return false;
    do {
        n = read(STDIN_FILENO, p, INPUT_CHUNK_BYTES);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    buf_commit(b, (size_t) n);
    return true;
}

/* What was read ahead belongs to the lines: a put among the lines of txn that has no value on its
 * own takes none of them, as with etcdctl. */
static bool read_all(struct kv_input *kv, struct buf *out)
{
    (void) kv;
    while (read_more(out))
        ;
    return !out->failed;
}

void ctl_input_init(struct ctl_input *in)
{
    in->kv.read_all = read_all;
    buf_init(&in->ahead, INPUT_BYTES_MAX);
}

void ctl_input_done(struct ctl_input *in)
{
    buf_done(&in->ahead);
}

bool ctl_read_line(struct ctl_input *in, struct buf *line)
{
    size_t seen = 0;

    buf_clear(line);
    for (;;) {
        const uint8_t *at = in->ahead.len == seen
                                ? NULL
                                : memchr(in->ahead.p + seen, '\n', in->ahead.len - seen);

        if (at != NULL) {
            size_t n = (size_t) (at - in->ahead.p);

            buf_add(line, in->ahead.p, n);
            buf_consume(&in->ahead, n + 1);
            return true;
        }
        seen = in->ahead.len;
        if (!read_more(&in->ahead))
            return false;
    }
}
