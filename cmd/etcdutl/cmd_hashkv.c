/* cmd_hashkv.c -- the hash of the key space that a server with this file would answer.
 *
 * etcd's tool opens the file for writing and thereby changes it; here it is only read. */
#include "cli/progress.h"
#include "cli/text.h"
#include "engine/bolt/bolt.h"
#include "etcdutl/utl.h"
#include "state/mvcc/mvcc.h"
#include "sys/disk.h"

#define NUMBER_BYTES 32
#define STEP_RECORDS 10000

/* ---- the proof, so that what follows may trust the file ---- */

static int check_records(struct bolt_tx *tx, struct progress *p, struct err *e)
{
    struct bolt_bucket b;
    struct bolt_cursor c;
    struct bytes k, v;
    int64_t main, sub;
    uint64_t touched = 0;
    bool tombstone;
    int rc = bolt_bucket_get(tx, store_bucket_name(STORE_KEY), &b, e);

    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_CORRUPT, "the database has no bucket key");
    if (rc != 0)
        return rc;
    bolt_cursor_init(&c, &b);
    for (rc = bolt_cursor_first(&c, &k, &v, e); rc == 0; rc = bolt_cursor_next(&c, &k, &v, e)) {
        if (!store_rev_key_get(k, &main, &sub, &tombstone))
            return err_set(e, ERR_CORRUPT, "a key of bucket key (%zu bytes) is not a revision",
                           k.n);
        progress_add(p, k.n + v.n);
        touched += k.n + v.n;
        if (touched > STORE_WALK_MAPPED_BYTES_MAX) {
            bolt_release_pages(tx);
            touched = 0;
        }
    }
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int check(const char *path, int64_t timeout_ns, struct err *e)
{
    struct bolt_options opt = {.read_only = true};
    struct bolt_db *db = NULL;
    struct bolt_tx *tx = NULL;
    struct progress p;
    int rc = utl_open(path, &opt, timeout_ns, &db, e);

    if (rc == 0)
        rc = bolt_begin_read(db, &tx, e);
    if (rc == 0)
        rc = bolt_check(tx, NULL, NULL, e);
    if (rc == 0) {
        progress_begin(&p, "checking the database", bolt_tx_size_bytes(tx));
        rc = check_records(tx, &p, e);
        progress_end(&p);
    }
    bolt_rollback(tx);
    bolt_close(db);
    return rc;
}

/* ---- the hash ---- */

static int words_of(int rc, struct err *e)
{
    switch (rc) {
    case 0:
        return 0;
#define X(name, code, api, text) \
    case ERR_MVCC_##name:        \
        return err_set(e, rc, "%s", text);
        MVCC_ERR_MAP(X)
#undef X
    default:
        return err_set(e, rc, "%s", err_text(rc));
    }
}

static int hash_view(const struct mvcc_view *v, int64_t revision, struct mvcc_hash_result *ret)
{
    struct mvcc_hash *h = NULL;
    bool done = false;
    int rc = mvcc_hash_begin(v, revision, &h);

    while (rc == 0 && !done)
        rc = mvcc_hash_step(h, STEP_RECORDS, &done);
    if (rc == 0)
        mvcc_hash_result(h, ret);
    mvcc_hash_end(h);
    return rc;
}

static int hash_store(struct store *s, int64_t revision, struct mvcc_hash_result *ret,
                      struct err *e)
{
    struct mvcc_reader *reader;
    const struct mvcc_view *v;
    struct mvcc *kv = NULL;
    int rc = mvcc_open(s, NULL, &kv, e);

    if (rc != 0)
        return rc;
    reader = mvcc_reader_new(kv);
    ASSERT(reader != NULL); /* the first one */
    v = mvcc_view_pin(reader);
    rc = words_of(hash_view(v, revision, ret), e);
    mvcc_view_unpin(v);
    mvcc_reader_free(reader);
    mvcc_close(kv);
    return rc;
}

static int hash_file(const char *path, int64_t revision, int64_t timeout_ns,
                     struct mvcc_hash_result *ret, struct err *e)
{
    struct store_config cfg = {.disk = disk_posix(), .path = path, .read_only = true};
    struct utl_wait w = utl_wait_for(timeout_ns);
    struct store *s = NULL;
    int rc;

    while ((rc = store_open(&cfg, &s, e)) == ERR_LOCKED && utl_wait(&w))
        ;
    if (rc == 0)
        rc = hash_store(s, revision, ret, e);
    store_close(s);
    return rc;
}

/* ---- the command ---- */

static const struct cli_flag flags[] = {
    {.name = "rev",
     .type = CLI_INT,
     .help = "the newest revision that counts (default: the newest there is)"},
};

static int print_hash(const struct cli_call *c, const struct mvcc_hash_result *h)
{
    char hash[NUMBER_BYTES], revision[NUMBER_BYTES], compact[NUMBER_BYTES];

    snprintf(hash, sizeof hash, "%" PRIu32, h->hash);
    snprintf(revision, sizeof revision, "%" PRId64, h->hash_revision);
    snprintf(compact, sizeof compact, "%" PRId64, h->compact_revision);
    return utl_report(
        c,
        (const struct utl_column[]){
            {"hash", "Hash", "hash", hash, hash, false},
            {"hashRevision", "Hash revision", "hash revision", revision, revision, false},
            {"compactRevision", "Compact revision", "compact revision", compact, compact, false},
        },
        3);
}

static int hashkv_run(struct cli_call *c)
{
    const char *path = c->args[0];
    int64_t timeout_ns = cli_int(c, "timeout");
    struct mvcc_hash_result h;
    struct err e = ERR_INIT;
    int status, rc;

    if (!utl_format(c, &status))
        return status;
    if (utl_stat(path, &e) != 0)
        return cli_fail(UTL_ERROR, "%s", e.msg);
    rc = check(path, timeout_ns, &e);
    if (rc != 0)
        return utl_panic(path, &e);
    rc = hash_file(path, cli_int(c, "rev"), timeout_ns, &h, &e);
    return rc == 0 ? print_hash(c, &h) : cli_fail(UTL_ERROR, "%s", e.msg);
}

const struct cli_command hashkv_command = {
    .use = "hashkv <filename>",
    .brief = "Shows the hash of a file's key space, which equal members have in common",
    .about = "",
    CLI_FLAGS(flags),
    .args_min = 1,
    .args_max = 1,
    .run = hashkv_run,
};
