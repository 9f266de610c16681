#include "etcdutl/log_version.h"

#include "base/alloc.h"
#include "engine/wal/wal.h"
#include "wire/pb.h"

/* Fields of InternalRaftRequest. */
#define FIELD_DOWNGRADE_VERSION_TEST 9900
#define FIELD_VERSION 1 /* of DowngradeVersionTestRequest */

#define MARKERS_BYTES_MAX ((size_t) 64 << 20)

struct reading {
    raft_index from; /* of the snapshot */
    cluster_version *v;
    size_t n;
    size_t cap;
};

/* Only requests that test downgrades carry a version above 3.5; all others 3.5 can read. */
static int entry_version(const struct raft_entry *en, cluster_version *ret, struct err *e)
{
    struct pb_reader r = pb_reader_of(en->data), inner;
    struct pb_field f, v;

    *ret = 0;
    if (en->type != RAFT_ENTRY_NORMAL)
        return 0;
    while (pb_next(&r, &f)) {
        if (f.number != FIELD_DOWNGRADE_VERSION_TEST || f.type != PB_LEN)
            continue;
        *ret = MAX(*ret, CLUSTER_VERSION(3, 6));
        for (inner = pb_reader_of(f.bytes); pb_next(&inner, &v);) {
            cluster_version asked;

            if (v.number == FIELD_VERSION && v.type == PB_LEN &&
                cluster_version_parse(v.bytes, &asked))
                *ret = MAX(*ret, asked);
        }
    }
    if (r.bad)
        return err_set(e, ERR_CORRUPT, "entry %" PRIu64 " is no request", en->index);
    return 0;
}

static int grow(struct reading *x, struct err *e)
{
    size_t cap = x->cap == 0 ? 1024 : x->cap * 2;
    cluster_version *v = mem_realloc(x->v, cap * sizeof *v);

    if (v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    x->v = v;
    x->cap = cap;
    return 0;
}

/* An entry takes the place of the one with its index, and of all behind that one. */
static int take_record(void *arg, const struct wal_record *rec, struct err *e)
{
    struct reading *x = arg;
    struct raft_entry en;
    size_t at;
    int rc;

    if (rec->type != WAL_RECORD_ENTRY)
        return 0;
    rc = raft_entry_get(rec->data, &en, e);
    if (rc != 0 || en.index <= x->from)
        return rc;
    if (en.index - x->from - 1 > x->n)
        return err_set(e, ERR_CORRUPT, "entry %" PRIu64 " follows entry %" PRIu64, en.index,
                       x->from + x->n);
    at = (size_t) (en.index - x->from - 1);
    if (at == x->cap)
        rc = grow(x, e);
    if (rc == 0)
        rc = entry_version(&en, &x->v[at], e);
    x->n = at + 1;
    return rc;
}

/* The directory itself, in Go's words. */
static int check_dir(struct disk *d, const char *dir, struct err *e)
{
    if (disk_exists(d, dir))
        return 0;
    return err_set(e, ERR_NOT_FOUND,
                   "[readWALNames] fileutil.ReadDir failed: open %s: no such file or directory",
                   dir);
}

static int newest_snapshot(struct disk *d, const char *dir, raft_index *ret, struct err *e)
{
    struct wal_snapshot *v;
    struct arena a;
    size_t n;
    int rc = check_dir(d, dir, e);

    if (rc == 0) {
        arena_init(&a, MARKERS_BYTES_MAX);
        rc = wal_valid_snapshots(d, dir, &a, &v, &n, e);
        if (rc == 0)
            *ret = n == 0 ? 0 : v[n - 1].index;
        arena_done(&a);
    }
    return err_wrap(e, rc, "failed to get the lastest snapshot"); /* etcd's spelling */
}

int log_version_read(struct disk *d, const char *wal_dir, cluster_version *ret, struct err *e)
{
    struct reading x = {0};
    cluster_version newest = 0;
    bool torn;
    int rc = newest_snapshot(d, wal_dir, &x.from, e);

    if (rc != 0)
        return rc;
    rc = wal_visit(d, wal_dir, x.from, take_record, &x, &torn, e);
    for (size_t i = 0; i < x.n; i++)
        newest = MAX(newest, x.v[i]);
    mem_free(x.v);
    if (rc == 0)
        *ret = newest;
    return err_wrap(e, rc, "failed to read wal");
}
