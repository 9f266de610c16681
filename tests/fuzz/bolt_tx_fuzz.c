/* bolt_tx_fuzz.c -- write transactions on a database, beside arrays.
 *
 * The first choice is the page size.  Then transactions put, delete, search, walk both ways, and
 * drop whole buckets, and are committed, rolled back or cut by a power failure in the middle of
 * their commit; readers hold old commits meanwhile; the file is closed and opened again.  Every
 * search agrees with the arrays, every reader goes on seeing its own commit, and after each commit
 * or power cut the file is whole by bolt_check.  After a cut it holds the state before or after. */
#include "base/alloc.h"
#include "fuzz/bolt_whole.h"
#include "fuzz/choices.h"
#include "lib/simdisk.h"

#define BUCKETS 3
#define KEYS 96
#define READERS 3
#define VALUE_BYTES_MAX 4200
#define INPUT_BYTES_MAX 4096

static const char *const names[BUCKETS] = {"alarm", "key", "zone"};

/* What a key holds: 0 nothing, else the number that its value follows from. */
struct model {
    bool exists[BUCKETS];
    uint16_t v[BUCKETS][KEYS];
};

struct reader {
    struct bolt_tx *tx; /* NULL: none */
    struct model sees;
};

struct run {
    struct choices c;
    struct simdisk *sim;
    struct bolt_options opt;
    struct bolt_db *db;
    struct model now;
    struct reader readers[READERS];
    uint16_t version;
};

/* ---- keys and values that follow from numbers ---- */

static uint8_t key_text[KEYS][1200];
static uint8_t filler[VALUE_BYTES_MAX + 256];

static void texts_make(void)
{
    if (filler[1] != 0)
        return;
    for (size_t i = 0; i < sizeof filler; i++)
        filler[i] = (uint8_t) (i * 131 >> 3 | 1);
    for (unsigned i = 0; i < KEYS; i++) {
        memset(key_text[i], 'x', sizeof key_text[i]);
        key_text[i][0] = (uint8_t) (i * 5 / 2); /* ascending, zero among them */
        key_text[i][1] = (uint8_t) i;
    }
}

static struct bytes key_of(unsigned i)
{
    return bytes_of(key_text[i], i % 32 == 31 ? 1200 : 2 + i % 40);
}

static struct bytes value_of(uint16_t version)
{
    static const uint16_t lengths[] = {0, 1, 17, 60, 200, 420, 1000, VALUE_BYTES_MAX};

    return bytes_of(filler + version % 251, lengths[version % ARRAY_LEN(lengths)]);
}

/* ---- comparing ---- */

static void same_bucket(const struct model *m, unsigned b, struct bolt_tx *tx)
{
    struct bolt_bucket h;
    struct bolt_cursor c;
    struct bytes k, v;
    int rc = bolt_bucket_get(tx, bytes_str(names[b]), &h, NULL);

    ASSERT(rc == (m->exists[b] ? 0 : ERR_NOT_FOUND));
    if (rc != 0)
        return;
    bolt_cursor_init(&c, &h);
    rc = bolt_cursor_first(&c, &k, &v, NULL);
    for (unsigned i = 0; i < KEYS; i++) {
        if (m->v[b][i] == 0)
            continue;
        ASSERT(rc == 0);
        ASSERT(bytes_eq(k, key_of(i)));
        ASSERT(bytes_eq(v, value_of(m->v[b][i])));
        rc = bolt_cursor_next(&c, &k, &v, NULL);
    }
    ASSERT(rc == ERR_NOT_FOUND);
    rc = bolt_cursor_last(&c, &k, &v, NULL);
    for (unsigned i = KEYS; i-- > 0;) {
        if (m->v[b][i] == 0)
            continue;
        ASSERT(rc == 0);
        ASSERT(bytes_eq(k, key_of(i)));
        rc = bolt_cursor_prev(&c, &k, &v, NULL);
    }
    ASSERT(rc == ERR_NOT_FOUND);
}

static void same(const struct model *m, struct bolt_tx *tx)
{
    for (unsigned b = 0; b < BUCKETS; b++)
        same_bucket(m, b, tx);
}

static bool differs_at(struct bolt_tx *tx, const struct model *m, unsigned b)
{
    struct bolt_bucket h;
    bool there = bolt_bucket_get(tx, bytes_str(names[b]), &h, NULL) == 0;

    if (there != m->exists[b])
        return true;
    for (unsigned i = 0; there && i < KEYS; i++) {
        struct bytes v;
        int rc = bolt_get(&h, key_of(i), &v, NULL);

        if ((rc == 0) != (m->v[b][i] != 0) || (rc == 0 && !bytes_eq(v, value_of(m->v[b][i]))))
            return true;
    }
    return false;
}

static void whole(struct bolt_db *db)
{
    struct err e = ERR_INIT;
    struct bolt_tx *tx;

    ASSERT(bolt_begin_write(db, &tx, &e) == 0);
    bolt_must_be_whole(tx);
    bolt_rollback(tx);
}

/* ---- one transaction ---- */

static void search(struct model *m, unsigned b, unsigned i, struct bolt_bucket *h)
{
    struct bolt_cursor c;
    struct bytes k, v;
    int rc = bolt_get(h, key_of(i), &v, NULL);
    unsigned at = i;

    ASSERT(rc == (m->v[b][i] != 0 ? 0 : ERR_NOT_FOUND));
    if (rc == 0)
        ASSERT(bytes_eq(v, value_of(m->v[b][i])));
    while (at < KEYS && m->v[b][at] == 0)
        at++;
    bolt_cursor_init(&c, h);
    rc = bolt_cursor_seek(&c, key_of(i), &k, &v, NULL);
    ASSERT(rc == (at < KEYS ? 0 : ERR_NOT_FOUND));
    if (rc == 0)
        ASSERT(bytes_eq(k, key_of(at)));
}

static void put(struct run *r, unsigned b, unsigned i, struct bolt_bucket *h)
{
    r->version = (uint16_t) (r->version % 60000 + 1);
    ASSERT(bolt_put(h, key_of(i), value_of(r->version), NULL) == 0);
    r->now.v[b][i] = r->version;
}

static void take_out(struct run *r, unsigned b, unsigned i, struct bolt_bucket *h)
{
    ASSERT(bolt_delete(h, key_of(i), NULL) == (r->now.v[b][i] != 0 ? 0 : ERR_NOT_FOUND));
    r->now.v[b][i] = 0;
}

static void drop(struct run *r, unsigned b, struct bolt_tx *tx)
{
    ASSERT(bolt_bucket_delete(tx, bytes_str(names[b]), NULL) ==
           (r->now.exists[b] ? 0 : ERR_NOT_FOUND));
    r->now.exists[b] = false;
    memset(r->now.v[b], 0, sizeof r->now.v[b]);
}

static void change(struct run *r, struct bolt_tx *tx)
{
    unsigned what = pick(&r->c, 64), b = pick(&r->c, BUCKETS), i = pick(&r->c, KEYS), n = 1;
    struct bolt_bucket h;

    if (what == 63) {
        drop(r, b, tx);
        return;
    }
    ASSERT(bolt_bucket_ensure(tx, bytes_str(names[b]), &h, NULL) == 0);
    r->now.exists[b] = true;
    if (what % 8 == 7)
        n = KEYS / 3; /* a run of neighbours */
    if (b == 1)
        bolt_bucket_set_fill(&h, 90);
    for (; n > 0 && i < KEYS; n--, i++) {
        if (what < 30)
            put(r, b, i, &h);
        else if (what < 52)
            take_out(r, b, i, &h);
        else
            search(&r->now, b, i, &h);
    }
}

static void readers_end(struct run *r)
{
    for (size_t i = 0; i < READERS; i++) {
        bolt_rollback(r->readers[i].tx);
        r->readers[i].tx = NULL;
    }
}

/* The commit meets a power cut after so many calls that change the disk, or none. */
static void commit_cut(struct run *r, struct bolt_tx *tx, const struct model *before)
{
    enum simdisk_crash_mode mode = pick(&r->c, 2) == 0 ? SIM_CRASH_DROP : SIM_CRASH_TEAR;
    bool committed;

    simdisk_seed(r->sim, pick(&r->c, 256));
    simdisk_cut_after(r->sim, 1 + pick(&r->c, 16));
    committed = bolt_commit(tx, NULL) == 0;
    readers_end(r);
    bolt_close(r->db);
    simdisk_crash(r->sim, mode);
    ASSERT(bolt_open(simdisk_disk(r->sim), "db", &r->opt, &r->db, NULL) == 0);
    ASSERT(bolt_begin_read(r->db, &tx, NULL) == 0);
    for (unsigned b = 0; b < BUCKETS && !committed; b++)
        if (differs_at(tx, &r->now, b)) {
            r->now = *before;
            break;
        }
    same(&r->now, tx);
    bolt_rollback(tx);
}

static void transaction(struct run *r)
{
    struct model before = r->now;
    struct bolt_tx *tx;
    unsigned end = pick(&r->c, 16);

    ASSERT(bolt_begin_write(r->db, &tx, NULL) == 0);
    for (unsigned n = pick(&r->c, 20); n > 0; n--)
        change(r, tx);
    if (end < 2) {
        same(&r->now, tx);
        bolt_rollback(tx);
        r->now = before;
    } else if (end < 5) {
        commit_cut(r, tx, &before);
    } else {
        ASSERT(bolt_commit(tx, NULL) == 0);
    }
    whole(r->db);
    ASSERT(bolt_begin_read(r->db, &tx, NULL) == 0);
    same(&r->now, tx);
    bolt_rollback(tx);
}

/* ---- between transactions ---- */

static void reader_turn(struct run *r)
{
    struct reader *x = &r->readers[pick(&r->c, READERS)];

    if (x->tx != NULL) {
        same(&x->sees, x->tx);
        bolt_rollback(x->tx);
        x->tx = NULL;
        return;
    }
    ASSERT(bolt_begin_read(r->db, &x->tx, NULL) == 0);
    x->sees = r->now;
}

static void reopen(struct run *r)
{
    readers_end(r);
    bolt_close(r->db);
    ASSERT(bolt_open(simdisk_disk(r->sim), "db", &r->opt, &r->db, NULL) == 0);
    whole(r->db);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run r;

    texts_make();
    r = (struct run){.c = choices_of(data, MIN(size, (size_t) INPUT_BYTES_MAX)),
                     .sim = simdisk_new(1)};
    r.opt = (struct bolt_options){.page_bytes = pick(&r.c, 2) == 0 ? 1024 : 4096,
                                  .initial_map_bytes = BOLT_MAP_SMALL,
                                  .reserve_bytes = 1u << 16};
    ASSERT(bolt_open(simdisk_disk(r.sim), "db", &r.opt, &r.db, NULL) == 0);
    ASSERT(disk_sync_dir(simdisk_disk(r.sim), "/", NULL) == 0);
    while (!choices_over(&r.c)) {
        unsigned what = pick(&r.c, 8);

        if (what < 5)
            transaction(&r);
        else if (what < 7)
            reader_turn(&r);
        else
            reopen(&r);
    }
    for (size_t i = 0; i < READERS; i++)
        if (r.readers[i].tx != NULL)
            same(&r.readers[i].sees, r.readers[i].tx);
    reopen(&r);
    bolt_close(r.db);
    simdisk_free(r.sim);
    return 0;
}
