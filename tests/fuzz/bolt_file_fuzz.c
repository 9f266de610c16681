/* bolt_file_fuzz.c -- arbitrary bytes as a database file.
 *
 * Input: one byte of choices, then the file.  Choice bit 0: put right the checksums of the two meta
 * pages, so that mutations reach what lies behind them.
 *
 * The file is opened read-only, checked, walked over, searched and copied: anything may be found
 * wrong with it, nothing may crash or run away.  Then it is opened for writing.  When that succeeds
 * the tree has been proved whole, so from then on every check must be clean and every change must
 * succeed. */
#include "base/alloc.h"
#include "base/endian.h"
#include "fuzz/bolt_whole.h"
#include "lib/simdisk.h"

#define PATH "db"
#define FILE_BYTES_MAX (1u << 20)
/* A damaged tree that is only read may lead to the same leaf many times. */
#define STEPS_MAX 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void meta_checksum(uint8_t *page)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 16; i < 72; i++)
        h = (h ^ page[i]) * UINT64_C(0x100000001b3);
    le64_put(page + 72, h);
}

static void metas_mend(uint8_t *file, size_t n)
{
    uint32_t page_bytes = n < 80 ? 0 : le32_get(file + 24);

    if (n < 80)
        return;
    meta_checksum(file);
    if (page_bytes >= 1024 && (uint64_t) page_bytes + 80 <= n)
        meta_checksum(file + page_bytes);
}

static void found(void *arg, const char *text)
{
    ASSERT(text[0] != '\0');
    ++*(uint64_t *) arg;
}

/* Every byte of it can be read. */
static uint64_t touch(struct bytes s)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < s.n; i++)
        sum += s.p[i];
    return sum;
}

static void bucket_walk(const struct bolt_bucket *b, unsigned depth, unsigned *steps)
{
    struct bolt_cursor c;
    struct bolt_bucket inner;
    struct bytes k, v;
    volatile uint64_t sum = 0;
    int rc;

    bolt_cursor_init(&c, b);
    for (rc = bolt_cursor_first(&c, &k, &v, NULL); rc == 0 && ++*steps < STEPS_MAX;
         rc = bolt_cursor_next(&c, &k, &v, NULL)) {
        sum = sum + touch(k) + touch(v);
        if (bolt_cursor_at_bucket(&c) && depth < 4 && bolt_bucket_nested(b, k, &inner, NULL) == 0)
            bucket_walk(&inner, depth + 1, steps);
    }
    for (rc = bolt_cursor_last(&c, &k, &v, NULL); rc == 0 && ++*steps < STEPS_MAX;
         rc = bolt_cursor_prev(&c, &k, &v, NULL))
        sum = sum + touch(k);
    if (bolt_cursor_seek(&c, BYTES_LIT("m"), &k, &v, NULL) == 0)
        sum = sum + touch(v);
    if (bolt_get(b, BYTES_LIT("key"), &v, NULL) == 0)
        sum = sum + touch(v);
}

static void tx_walk(struct bolt_tx *tx)
{
    struct bolt_bucket root;
    unsigned steps = 0;

    bolt_bucket_root(tx, &root);
    bucket_walk(&root, 0, &steps);
}

static void tx_copy(struct bolt_tx *tx)
{
    static uint8_t piece[5000];
    struct bolt_copy c;
    uint64_t total = 0;
    size_t n = 1;

    bolt_copy_init(&c, tx);
    while (n > 0) {
        ASSERT(bolt_copy_next(&c, piece, sizeof piece, &n, NULL) == 0);
        total += n;
    }
    ASSERT(total == bolt_tx_size_bytes(tx));
}

static void read_only(struct disk *d)
{
    struct bolt_options opt = {.read_only = true};
    struct err e = ERR_INIT;
    struct bolt_db *db;
    struct bolt_tx *tx;
    uint64_t findings = 0;
    int rc = bolt_open(d, PATH, &opt, &db, &e);

    if (rc != 0) {
        ASSERT(rc == ERR_CORRUPT);
        ASSERT(e.msg[0] != '\0');
        return;
    }
    ASSERT(bolt_begin_read(db, &tx, &e) == 0);
    rc = bolt_check(tx, found, &findings, &e);
    ASSERT((rc == 0) == (findings == 0));
    tx_walk(tx);
    tx_copy(tx);
    bolt_rollback(tx);
    bolt_close(db);
}

static void must_be_whole(struct bolt_db *db)
{
    struct err e = ERR_INIT;
    struct bolt_tx *tx;

    ASSERT(bolt_begin_write(db, &tx, &e) == 0);
    bolt_must_be_whole(tx);
    tx_walk(tx);
    bolt_rollback(tx);
}

/* Thins a bucket out, adds to it, in its first and its last keys. */
static void bucket_change(struct bolt_bucket *b)
{
    static const uint8_t value[700];
    struct bolt_cursor c;
    struct bytes k, v;
    int rc;

    for (unsigned i = 0; i < 40; i++) {
        bolt_cursor_init(&c, b);
        rc = i % 3 == 0 ? bolt_cursor_last(&c, &k, &v, NULL) : bolt_cursor_first(&c, &k, &v, NULL);
        if (rc != 0)
            break;
        rc = bolt_delete(b, k, NULL);
        ASSERT(rc == 0 || rc == ERR_INVALID); /* a bucket */
        if (rc != 0)
            break;
    }
    rc = bolt_put(b, BYTES_LIT("key"), bytes_of(value, 90), NULL);
    ASSERT(rc == 0 || rc == ERR_INVALID);
    rc = bolt_put(b, BYTES_LIT("\xff\xff"), bytes_of(value, sizeof value), NULL);
    ASSERT(rc == 0 || rc == ERR_INVALID);
}

static void write_some(struct bolt_db *db, unsigned round)
{
    struct err e = ERR_INIT;
    struct bolt_bucket root, b;
    struct bolt_cursor c;
    struct bolt_tx *tx;
    struct bytes name, v;
    unsigned n = 0;
    int rc;

    ASSERT(bolt_begin_write(db, &tx, &e) == 0);
    bolt_bucket_root(tx, &root);
    bolt_cursor_init(&c, &root);
    for (rc = bolt_cursor_first(&c, &name, &v, &e); rc == 0 && n < 8; n++) {
        if (bolt_bucket_get(tx, name, &b, &e) == 0)
            bucket_change(&b);
        rc = bolt_cursor_next(&c, &name, &v, &e);
    }
    if (round == 1 && bolt_cursor_first(&c, &name, &v, &e) == 0) {
        rc = bolt_bucket_delete(tx, name, &e);
        ASSERT(rc == 0 || rc == ERR_INVALID);
    }
    rc = bolt_bucket_ensure(tx, BYTES_LIT("new"), &b, &e);
    ASSERT(rc == 0 || rc == ERR_INVALID); /* a plain key in the root */
    if (rc == 0)
        bucket_change(&b);
    if (bolt_commit(tx, &e) != 0) {
        fprintf(stderr, "%s\n", e.msg);
        abort();
    }
}

static void read_write(struct disk *d)
{
    /* Little address space, so that the file outgrows its mapping now and then. */
    struct bolt_options opt = {.initial_map_bytes = BOLT_MAP_SMALL, .reserve_bytes = 1u << 15};
    struct bolt_db *db;
    struct err e = ERR_INIT;
    int rc = bolt_open(d, PATH, &opt, &db, &e);

    if (rc != 0) {
        ASSERT(rc == ERR_CORRUPT);
        return;
    }
    must_be_whole(db);
    for (unsigned round = 0; round < 3; round++) {
        write_some(db, round);
        must_be_whole(db);
    }
    bolt_close(db);
    ASSERT(bolt_open(d, PATH, &opt, &db, &e) == 0);
    must_be_whole(db);
    bolt_close(db);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct simdisk *s;
    uint8_t *file;

    if (size < 1 || size - 1 > FILE_BYTES_MAX)
        return 0;
    file = xmem_dup(data + 1, size - 1);
    if ((data[0] & 1) != 0)
        metas_mend(file, size - 1);
    s = simdisk_new(1);
    simdisk_put_file(s, PATH, file, size - 1);
    read_only(simdisk_disk(s));
    read_write(simdisk_disk(s));
    simdisk_free(s);
    mem_free(file);
    return 0;
}
