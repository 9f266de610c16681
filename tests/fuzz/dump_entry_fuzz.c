/* dump_entry_fuzz.c -- arbitrary bytes as the data of a log entry that etcd-dump-logs shows.
 *
 * Input: one byte of choices (bits 0 and 1: the entry's type), then the data.  Whatever they are,
 * an entry is let through by its kind's filters or not, the same twice; a line is UTF-8 without
 * control characters but its tabs, so that it spoils no terminal. */
#include "base/alloc.h"
#include "etcd-dump-logs/dump.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const struct buf *b)
{
    ASSERT(!b->failed);
    ASSERT(utf8_valid(buf_bytes(b)));
    for (size_t i = 0; i < b->len; i++)
        ASSERT(b->p[i] >= 0x20 || b->p[i] == '\t');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const lists[] = {"Normal,ConfigChange", "InternalRaftRequest", "Request",
                                        "IRRPut,IRRTxn,IRRRange"};
    struct raft_entry en = {.term = 1, .index = 2};
    struct dump_filters f;
    struct buf first, again;
    bool shown;

    if (size < 1)
        return 0;
    en.type = (enum raft_entry_type)(data[0] & 3);
    en.data = bytes_of(data + 1, size - 1);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        buf_init(&first, SIZE_MAX / 2);
        buf_init(&again, SIZE_MAX / 2);
        dump_filters_read(lists[i], &f);
        shown = dump_entry(&f, &en, &first);
        ASSERT(shown == (first.len > 0));
        check_line(&first);
        ASSERT(dump_entry(&f, &en, &again) == shown);
        ASSERT(bytes_eq(buf_bytes(&first), buf_bytes(&again)));
        buf_done(&first);
        buf_done(&again);
    }
    return 0;
}
