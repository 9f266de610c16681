/* restore_log.c -- a write-ahead log in which the members have just been agreed upon, and a
 * snapshot behind that. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "engine/snap/snap.h"
#include "engine/wal/wal.h"
#include "etcdutl/restore.h"
#include "etcdutl/utl.h"

#define FIRST_TERM 1

struct logging {
    const struct restore_config *c;
    struct arena arena;
    struct raft_entry *entries; /* one for each member */
    uint64_t *ids;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory");
}

/* The entry that adds a member, as every member of a new cluster begins with. */
static int make_entry(struct logging *x, size_t i, struct err *e)
{
    const struct cluster_member *m = &x->c->initial->members[i];
    struct cluster_change add = {.type = RAFT_CONF_ADD_NODE, .member = *m};
    struct raft_conf_change cc = {.type = RAFT_CONF_ADD_NODE, .node_id = m->id};
    struct buf json;
    uint8_t *p = NULL;
    size_t n = 0;

    buf_init(&json, CLUSTER_JSON_BYTES_MAX);
    if (cluster_change_context_put(&add, &json)) {
        cc.context = buf_bytes(&json);
        n = raft_conf_change_size(&cc);
        p = arena_alloc(&x->arena, n);
    }
    if (p != NULL)
        raft_conf_change_put(&cc, p);
    buf_done(&json);
    if (p == NULL)
        return no_memory(e);
    x->ids[i] = m->id;
    x->entries[i] = (struct raft_entry){
        .term = FIRST_TERM, .index = i + 1, .type = RAFT_ENTRY_CONF_CHANGE, .data = bytes_of(p, n)};
    return 0;
}

static int make_entries(struct logging *x, struct err *e)
{
    size_t n = x->c->initial->n;
    int rc = 0;

    x->entries = arena_calloc(&x->arena, n, sizeof *x->entries);
    x->ids = arena_calloc(&x->arena, n, sizeof *x->ids);
    if (x->entries == NULL || x->ids == NULL)
        return no_memory(e);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = make_entry(x, i, e);
    return rc;
}

/* ---- the .snap file: members of 3.5 and 3.6 read their peers in it ---- */

static int save_snap(struct logging *x, const char *dir, struct err *e)
{
    const struct initial *in = x->c->initial;
    struct snap_v2_member *members = arena_calloc(&x->arena, in->n, sizeof *members);
    struct snap_v2_membership all = {.members = members, .members_n = in->n, .index = in->n};
    struct raft_snapshot s = {
        .meta = {.conf_state = {.voters = {x->ids, in->n}}, .index = in->n, .term = FIRST_TERM}};
    struct buf json;
    int rc;

    if (members == NULL)
        return no_memory(e);
    for (size_t i = 0; i < in->n; i++)
        members[i] = (struct snap_v2_member){.id = in->members[i].id,
                                             .name = "", /* none has published itself */
                                             .peer_urls = in->members[i].peer_urls.v,
                                             .peer_urls_n = in->members[i].peer_urls.n};
    buf_init(&json, SNAP_V2_BYTES_MAX);
    if (!snap_v2_write(&all, &json)) {
        rc = err_set(e, ERR_LIMIT, "the members' URLs are too long");
    } else {
        s.data = buf_bytes(&json);
        rc = snap_save(x->c->disk, dir, &s, e);
    }
    buf_done(&json);
    return rc;
}

/* ---- the log ---- */

static int make_log(struct logging *x, const char *dir, struct wal **ret, struct err *e)
{
    struct wal_options o = {.disk = x->c->disk, .dir = dir, .segment_bytes = x->c->segment_bytes};
    struct wal_metadata m = {x->c->initial->self->id, x->c->initial->cluster_id};
    char stamp[WAL_STAMP_BYTES + 1];
    time_t now = time(NULL);
    struct tm tm = {0};

    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%d.%H%M%S.000000", &tm);
    return wal_create(&o, &m, stamp, ret, e);
}

static int write_log(struct logging *x, struct wal *w, const char *snap_dir, struct err *e)
{
    size_t n = x->c->initial->n;
    struct raft_hard_state state = {.term = FIRST_TERM, .vote = x->ids[0], .commit = n};
    struct wal_snapshot marker = {.index = n,
                                  .term = FIRST_TERM,
                                  .conf_state = {.voters = {x->ids, n}},
                                  .has_conf_state = true};
    struct wal_save entries = {.entries = x->entries, .entries_n = n, .hard_state = &state};
    struct wal_save snapshot = {.snapshot = &marker};
    int rc = wal_append_batch(w, &entries, 1, e);

    if (rc == 0)
        rc = save_snap(x, snap_dir, e); /* before the marker that makes it count */
    return rc == 0 ? wal_append_batch(w, &snapshot, 1, e) : rc;
}

int restore_log(const struct restore_config *c, const char *wal_dir, const char *snap_dir,
                struct err *e)
{
    struct logging x = {.c = c};
    struct wal *w = NULL;
    int rc;

    ASSERT(c->initial->n > 0);
    arena_init(&x.arena, UTL_ARENA_BYTES_MAX);
    rc = make_entries(&x, e);
    if (rc == 0)
        rc = make_log(&x, wal_dir, &w, e);
    if (rc == 0)
        rc = write_log(&x, w, snap_dir, e);
    wal_close(w);
    arena_done(&x.arena);
    return rc;
}
