/* restore_db.c -- the copied database becomes that of a member that has applied the first entries
 * of a new log: those that name the members. */
#include "base/endian.h"
#include "engine/bolt/bolt.h"
#include "etcdutl/restore.h"
#include "etcdutl/utl.h"
#include "state/store/store.h"
#include "sys/disk.h"

#define FIRST_TERM 1
#define TEXT_BYTES_MAX ((size_t) 8 << 20) /* what is put into the file by one restore */

struct adapting {
    const struct restore_config *c;
    struct bolt_tx *tx;
    struct arena arena; /* what is put is borrowed until the commit */
};

static int put(struct adapting *x, struct bolt_bucket *b, const char *key, struct bytes value,
               struct err *e)
{
    void *copy = arena_dup(&x->arena, value.p, value.n);

    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    return bolt_put(b, bytes_str(key), bytes_of(copy, value.n), e);
}

/* ---- members ---- */

/* The bucket without what was in it. */
static int emptied(struct adapting *x, enum store_bucket which, struct bolt_bucket *ret,
                   struct err *e)
{
    int rc = bolt_bucket_delete(x->tx, store_bucket_name(which), e);

    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    return bolt_bucket_create(x->tx, store_bucket_name(which), ret, e);
}

static int put_member(struct adapting *x, struct bolt_bucket *b, const struct cluster_member *m,
                      struct err *e)
{
    struct cluster_change add = {.type = RAFT_CONF_ADD_NODE, .member = *m};
    char *key = arena_alloc(&x->arena, CLUSTER_ID_TEXT_BYTES);
    struct buf json;
    int rc;

    if (key == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    cluster_id_text(m->id, key);
    buf_init(&json, CLUSTER_JSON_BYTES_MAX);
    if (cluster_change_context_put(&add, &json))
        rc = put(x, b, key, buf_bytes(&json), e);
    else
        rc = err_set(e, ERR_LIMIT, "the URLs of member %s are too long", m->name);
    buf_done(&json);
    LOG_INFO(utl_log, "added member", F_HEX("cluster-id", x->c->initial->cluster_id),
             F_STR("local-member-id", "0"), F_HEX("added-peer-id", m->id),
             F_STRS("added-peer-peer-urls", m->peer_urls.v, m->peer_urls.n),
             F_BOOL("added-peer-is-learner", false));
    return rc;
}

static int change_members(struct adapting *x, struct err *e)
{
    struct bolt_bucket members, removed;
    int rc;

    LOG_INFO(utl_log, "Trimming membership information from the backend...");
    rc = emptied(x, STORE_MEMBERS_REMOVED, &removed, e);
    if (rc == 0)
        rc = emptied(x, STORE_MEMBERS, &members, e);
    for (size_t i = 0; i < x->c->initial->n && rc == 0; i++)
        rc = put_member(x, &members, &x->c->initial->members[i], e);
    return rc;
}

/* ---- what has been applied ---- */

static int put_conf_state(struct adapting *x, struct bolt_bucket *meta, struct err *e)
{
    struct buf json;
    int rc;

    buf_init(&json, TEXT_BYTES_MAX);
    buf_add_str(&json, "{\"voters\":[");
    for (size_t i = 0; i < x->c->initial->n; i++)
        buf_printf(&json, "%s%" PRIu64, i == 0 ? "" : ",", x->c->initial->members[i].id);
    buf_add_str(&json, "],\"auto_leave\":false}");
    rc = json.failed ? err_set(e, ERR_NOMEM, "out of memory")
                     : put(x, meta, STORE_META_CONF_STATE, buf_bytes(&json), e);
    buf_done(&json);
    return rc;
}

static int put_number(struct adapting *x, struct bolt_bucket *b, const char *key, uint64_t v,
                      struct err *e)
{
    uint8_t p[8];

    be64_put(p, v);
    return put(x, b, key, bytes_of(p, sizeof p), e);
}

static int put_applied(struct adapting *x, struct bolt_bucket *meta, struct err *e)
{
    int rc = put_conf_state(x, meta, e);

    if (rc == 0)
        rc = put_number(x, meta, STORE_META_CONSISTENT_INDEX, x->c->initial->n, e);
    return rc == 0 ? put_number(x, meta, STORE_META_TERM, FIRST_TERM, e) : rc;
}

/* ---- --bump-revision, --mark-compacted ---- */

static int latest_revision(struct bolt_bucket *key, int64_t *ret, struct err *e)
{
    struct bolt_cursor c;
    struct bytes k, v;
    int64_t sub;
    bool tombstone;
    int rc;

    *ret = 0;
    bolt_cursor_init(&c, key);
    rc = bolt_cursor_last(&c, &k, &v, e);
    if (rc == 0 && !store_rev_key_get(k, ret, &sub, &tombstone))
        return err_set(e, ERR_CORRUPT, "the last key of bucket key (%zu bytes) is not a revision",
                       k.n);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* A record without a value takes a revision far ahead; everything before it is compacted at the
 * first start, so that whoever watches at an older revision is told to look anew. */
static int bump(struct adapting *x, struct bolt_bucket *meta, struct err *e)
{
    uint8_t *name = arena_alloc(&x->arena, STORE_REV_KEY_BYTES_MAX);
    struct bolt_bucket key;
    int64_t latest = 0, to;
    size_t n;
    int rc = bolt_bucket_ensure(x->tx, store_bucket_name(STORE_KEY), &key, e);

    if (name == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (rc == 0)
        rc = latest_revision(&key, &latest, e);
    if (rc != 0)
        return rc;
    if (latest < 0 || x->c->bump > (uint64_t) (INT64_MAX - latest))
        return err_set(e, ERR_LIMIT,
                       "revision %" PRId64 " cannot be raised by %" PRIu64
                       ": the largest revision is %" PRId64,
                       latest, x->c->bump, INT64_MAX);
    to = latest + (int64_t) x->c->bump;
    LOG_INFO(utl_log, "bumping latest revision", F_I64("latest-revision", latest),
             F_U64("bump-amount", x->c->bump), F_I64("new-latest-revision", to));
    n = store_rev_key_put(name, to, 0, false);
    rc = bolt_put(&key, bytes_of(name, n), bytes_of(name, 0), e);
    LOG_INFO(utl_log, "marking revision compacted", F_I64("revision", to));
    return rc == 0 ? put(x, meta, STORE_META_SCHEDULED_COMPACT, bytes_of(name, n), e) : rc;
}

static int change(struct adapting *x, struct err *e)
{
    struct bolt_bucket meta;
    int rc = bolt_bucket_ensure(x->tx, store_bucket_name(STORE_META), &meta, e);

    if (rc == 0 && x->c->bump > 0)
        rc = bump(x, &meta, e);
    if (rc == 0)
        rc = put_applied(x, &meta, e);
    return rc == 0 ? change_members(x, e) : rc;
}

int restore_adapt(const struct restore_config *c, const char *db_path, struct err *e)
{
    struct bolt_options opt = {.initial_map_bytes = c->map_bytes == 0 ? BOLT_MAP_SMALL
                                                                      : c->map_bytes};
    struct adapting x = {.c = c};
    struct bolt_db *db = NULL;
    int rc = bolt_open(c->disk, db_path, &opt, &db, e);

    if (rc == 0)
        rc = bolt_begin_write(db, &x.tx, e);
    if (rc == 0) {
        arena_init(&x.arena, UTL_ARENA_BYTES_MAX);
        rc = change(&x, e);
        if (rc == 0)
            rc = bolt_commit(x.tx, e);
        else
            bolt_rollback(x.tx);
        arena_done(&x.arena);
    }
    bolt_close(db);
    return rc;
}
