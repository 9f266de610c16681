/* wal_fuzz.c -- arbitrary bytes as the only segment of a log.
 *
 * Input: one byte of choices, then the segment.  Choice bit 0: put right the checksums of the
 * records, so that mutations reach what lies behind them.
 *
 * Reading and opening may refuse the log, never crash.  A log that was opened holds what was read
 * before, takes another entry, and then holds that too.  One that was refused is unchanged. */
#include "base/alloc.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "engine/wal/wal.h"
#include "lib/simdisk.h"

#define DIR "wal"
#define SEGMENT DIR "/0000000000000000-0000000000000000.wal"
#define SEGMENT_BYTES 16384
#define FILE_BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where a record is laid out as we lay it out: type, checksum in five bytes, data. */
static void mend(uint8_t *p, size_t n)
{
    uint32_t crc = 0;

    for (size_t at = 0; n >= 24 && at <= n - 24;) {
        uint64_t word = le64_get(p + at), len = word & 0xffffffff;
        uint8_t *rec = p + at + 8;
        size_t left = n - at - 8;

        if (len < 8 || len > left)
            return;
        if (rec[0] == 0x08 && rec[2] == 0x10 && rec[1] != WAL_RECORD_CRC && len >= 10 &&
            rec[8] == 0x1a && rec[9] < 0x80 && rec[9] <= len - 10) {
            crc = crc32c(crc, rec + 10, rec[9]);
            for (int i = 0; i < 5; i++)
                rec[3 + i] = (uint8_t) ((crc >> (7 * i) & 0x7f) | (i < 4 ? 0x80 : 0));
        }
        at += 8 + (size_t) ((len + 7) / 8 * 8);
    }
}

static int count(void *arg, const struct wal_record *rec, struct err *e)
{
    (void) e;
    ASSERT(rec->offset % 8 == 0);
    ++*(size_t *) arg;
    return 0;
}

static void check_entries(const struct wal_contents *c)
{
    size_t bytes = 0;

    for (size_t i = 0; i < c->entries.n; i++) {
        ASSERT(c->entries.v[i].index == i + 1);
        bytes += c->entries.v[i].data.n;
    }
    ASSERT(bytes == c->entries.bytes);
}

static void reads(struct disk *d)
{
    struct wal_contents c;
    struct wal_snapshot *snaps;
    struct wal_reader *r;
    struct wal_entries x;
    struct arena a;
    bool torn;
    size_t n = 0;

    arena_init(&a, (size_t) 4 << 20);
    if (wal_visit(d, DIR, 0, count, &n, &torn, NULL) == 0)
        ASSERT(n <= FILE_BYTES_MAX / 16);
    n = 0;
    if (wal_visit_raw(d, DIR, count, &n, &torn, NULL) == 0)
        ASSERT(n <= FILE_BYTES_MAX / 16);
    if (wal_valid_snapshots(d, DIR, &a, &snaps, &n, NULL) == 0)
        ASSERT(n == 0 || snaps != NULL);
    if (wal_read(d, DIR, 0, 0, &c, NULL) == 0) {
        check_entries(&c);
        wal_contents_done(&c);
    }
    if (wal_reader_open(d, DIR, &r, NULL) == 0) {
        if (wal_reader_entries(r, 1, 100, 1000, &x, NULL) == 0) {
            ASSERT(x.n > 0);
            wal_entries_done(&x);
        }
        wal_reader_close(r);
    }
    arena_done(&a);
}

/* The log has been opened: it must go on. */
static void goes_on(const struct wal_options *o, struct wal *w, struct wal_contents *c)
{
    size_t had = c->entries.n;
    struct raft_hard_state hs = c->hard_state;
    struct raft_entry en = {.term = hs.term, .index = had + 1, .data = BYTES_LIT("new")};
    struct wal_save save = {.entries = &en, .entries_n = 1};

    check_entries(c);
    wal_contents_done(c);
    ASSERT(wal_append_batch(w, &save, 1, NULL) == 0);
    ASSERT(wal_durable_index(w) == had + 1);
    wal_close(w);
    ASSERT(wal_open(o, 0, 0, c, &w, NULL) == 0);
    ASSERT(!c->repaired);
    ASSERT(c->entries.n == had + 1);
    ASSERT(bytes_eq(c->entries.v[had].data, BYTES_LIT("new")));
    wal_contents_done(c);
    wal_close(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct simdisk *s;
    struct wal_options o;
    struct wal_contents c;
    struct wal *w;
    uint8_t *file, *after;
    size_t n;

    if (size < 1 || size > FILE_BYTES_MAX)
        return 0;
    file = xmem_alloc(size);
    memcpy(file, data + 1, size - 1);
    if ((data[0] & 1) != 0)
        mend(file, size - 1);
    s = simdisk_new(1);
    simdisk_put_file(s, SEGMENT, file, size - 1);
    o = (struct wal_options){.disk = simdisk_disk(s), .dir = DIR, .segment_bytes = SEGMENT_BYTES};
    reads(o.disk);
    if (wal_open(&o, 0, 0, &c, &w, NULL) == 0) {
        goes_on(&o, w, &c);
    } else {
        after = simdisk_get_file(s, SEGMENT, &n);
        ASSERT(bytes_eq(bytes_of(after, n), bytes_of(file, size - 1)));
        free(after);
    }
    simdisk_free(s);
    mem_free(file);
    return 0;
}
