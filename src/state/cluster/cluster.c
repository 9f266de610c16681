#include "state/cluster/cluster.h"

#include "base/alloc.h"
#include "state/cluster/cluster_int.h"
#include "state/store/store.h"
#include "wire/pb.h"

/* ---- loading ---- */

struct loader {
    struct cluster__view *view;
    struct arena arena; /* of the record being read */
    struct err *e;
};

static int damaged(struct loader *l, const char *bucket, struct bytes key)
{
    return err_set(l->e, ERR_CLUSTER_DAMAGED, "bucket %s: damaged record with key \"%.*s\"", bucket,
                   (int) MIN(key.n, (size_t) 32), key.n == 0 ? "" : (const char *) key.p);
}

static int load_member(void *ctx, struct bytes key, struct bytes value)
{
    struct loader *l = ctx;
    struct cluster_member m;
    bool promote;
    uint64_t id;
    int rc;

    arena_reset(&l->arena);
    if (!cluster_id_parse(key, &id))
        return damaged(l, "members", key);
    rc = cluster__member_parse(value, &l->arena, &m, &promote, l->e);
    if (rc == ERR_NOMEM)
        return rc;
    if (rc != 0 || m.id != id)
        return damaged(l, "members", key);
    cluster__view_put_member(l->view, &m);
    return 0;
}

static int load_removed(void *ctx, struct bytes key, struct bytes value)
{
    struct loader *l = ctx;
    uint64_t id;

    (void) value;
    if (!cluster_id_parse(key, &id))
        return damaged(l, "members_removed", key);
    cluster__view_add_removed(l->view, id);
    return 0;
}

static int load_cluster(void *ctx, struct bytes key, struct bytes value)
{
    struct loader *l = ctx;
    struct cluster_downgrade d;

    arena_reset(&l->arena);
    if (bytes_eq(key, BYTES_LIT(CLUSTER__KEY_VERSION)))
        return cluster_version_parse(value, &l->view->pub.version) ? 0 : damaged(l, "cluster", key);
    if (!bytes_eq(key, BYTES_LIT(CLUSTER__KEY_DOWNGRADE)))
        return 0;
    if (cluster__downgrade_parse(value, &l->arena, &d, l->e) != 0)
        return damaged(l, "cluster", key);
    cluster__view_set_downgrade(l->view, d.enabled, d.target);
    return 0;
}

/* AlarmMember: f1 member id, f2 kind; the record is its own key. */
static int load_alarm(void *ctx, struct bytes key, struct bytes value)
{
    struct pb_reader r = pb_reader_of(key);
    struct loader *l = ctx;
    uint64_t id = 0, kind = 0;
    struct pb_field f;

    (void) value;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.type == PB_VARINT)
            id = f.value;
        else if (f.number == 2 && f.type == PB_VARINT)
            kind = f.value;
    }
    if (r.bad)
        return damaged(l, "alarm", key);
    cluster__view_set_alarm(l->view, id, (int) (uint32_t) kind, true);
    return 0;
}

/* storageVersion; a file without it is of 3.5 once an entry was applied to it. */
static cluster_version stored_storage_version(struct store *s)
{
    cluster_version v;
    struct bytes text;

    if (store_get(s, STORE_META, BYTES_LIT(STORE_META_STORAGE_VERSION), &text))
        return cluster_version_parse(text, &v) ? v : 0;
    return store_applied_term(s) != 0 ? CLUSTER_VERSION(3, 5) : 0;
}

static const struct {
    enum store_bucket bucket;
    store_scan_fn load;
} loads[] = {
    {STORE_MEMBERS, load_member},
    {STORE_MEMBERS_REMOVED, load_removed},
    {STORE_CLUSTER, load_cluster},
    {STORE_ALARM, load_alarm},
};

static int load(struct loader *l, struct store *s)
{
    int rc = 0;

    for (size_t i = 0; i < ARRAY_LEN(loads) && rc == 0; i++)
        rc = store_scan(s, loads[i].bucket, loads[i].load, l, l->e);
    if (rc == 0)
        l->view->pub.storage_version = stored_storage_version(s);
    return rc;
}

int cluster_view_read(uint64_t cluster_id, uint64_t local_id, const struct store_snapshot *sn,
                      const struct cluster_view **ret, struct err *e)
{
    struct loader l = {.view = cluster__view_new(cluster_id, local_id), .e = e};
    int rc = 0;

    arena_init(&l.arena, CLUSTER__VIEW_BYTES_MAX);
    for (size_t i = 0; i < ARRAY_LEN(loads) && rc == 0; i++)
        rc = store_snapshot_scan(sn, loads[i].bucket, loads[i].load, &l, e);
    arena_done(&l.arena);
    if (rc != 0) {
        cluster_view_unref(&l.view->pub);
        return err_wrap(e, rc, "load membership");
    }
    *ret = &l.view->pub;
    return 0;
}

int cluster_open(const struct cluster_config *cfg, struct store *s, struct cluster **ret,
                 struct err *e)
{
    struct loader l = {.view = cluster__view_new(cfg->cluster_id, cfg->local_id), .e = e};
    struct cluster *c;
    int rc;

    ASSERT(cfg->level >= CLUSTER_VERSION(3, 5));
    arena_init(&l.arena, CLUSTER__VIEW_BYTES_MAX);
    rc = load(&l, s);
    arena_done(&l.arena);
    if (rc == 0 && l.view->pub.version > cfg->level) {
        char own[CLUSTER_VERSION_TEXT_BYTES], theirs[CLUSTER_VERSION_TEXT_BYTES];

        cluster_version_text(cfg->level, own);
        cluster_version_text(l.view->pub.version, theirs);
        rc = err_set(e, ERR_CLUSTER_TOO_NEW,
                     "invalid downgrade; server version is lower than determined cluster version "
                     "(server %s, cluster %s)",
                     own, theirs);
    }
    if (rc != 0) {
        cluster_view_unref(&l.view->pub);
        return err_wrap(e, rc, "load membership");
    }
    c = xmem_calloc(1, sizeof *c);
    c->cfg = *cfg;
    c->store = s;
    c->view = l.view;
    cluster__view_check(&c->view->pub);
    *ret = c;
    return 0;
}

void cluster_free(struct cluster *c)
{
    if (c == NULL)
        return;
    cluster_view_unref(&c->view->pub);
    mem_free(c);
}

const struct cluster_view *cluster_view(const struct cluster *c)
{
    return &c->view->pub;
}

void cluster__publish(struct cluster *c, struct cluster__view *next)
{
    cluster__view_check(&next->pub);
    cluster_view_unref(&c->view->pub);
    c->view = next;
}

/* ---- writing records ---- */

static struct bytes id_key(uint64_t id, char text[CLUSTER_ID_TEXT_BYTES])
{
    cluster_id_text(id, text);
    return bytes_str(text);
}

static void put_member(struct cluster *c, uint64_t id)
{
    const struct cluster_member *m = cluster_view_member(&c->view->pub, id);
    char text[CLUSTER_ID_TEXT_BYTES];
    struct buf b;

    ASSERT(m != NULL);
    buf_init(&b, CLUSTER__TEXT_BYTES_MAX);
    ASSERT(cluster__member_json(m, false, &b));
    store_put(c->store, STORE_MEMBERS, id_key(id, text), buf_bytes(&b));
    buf_done(&b);
}

/* ---- membership ---- */

static void apply_remove(struct cluster *c, uint64_t id)
{
    struct cluster__view *next = cluster__view_copy(&c->view->pub);
    char text[CLUSTER_ID_TEXT_BYTES];

    cluster__view_del_member(next, id);
    cluster__view_add_removed(next, id);
    cluster__publish(c, next);
    store_delete(c->store, STORE_MEMBERS, id_key(id, text));
    store_put(c->store, STORE_MEMBERS_REMOVED, id_key(id, text), BYTES_LIT(CLUSTER__REMOVED_VALUE));
}

/* Puts the member into a new view and its record into the store. */
static void apply_member(struct cluster *c, const struct cluster_member *m)
{
    struct cluster__view *next = cluster__view_copy(&c->view->pub);

    cluster__view_put_member(next, m);
    cluster__publish(c, next);
    put_member(c, m->id);
}

enum api_error cluster_apply_change(struct cluster *c, const struct cluster_change *ch)
{
    const struct cluster_view *v = &c->view->pub;
    const struct cluster_member *present = cluster_view_member(v, ch->member.id);
    enum api_error err = cluster_check_change(v, ch, c->cfg.learners_max);
    struct cluster_member m;

    if (err != API_OK)
        return err;
    if (ch->type == RAFT_CONF_REMOVE_NODE) {
        apply_remove(c, ch->member.id);
        return API_OK;
    }
    m = ch->member;
    if (ch->promote || ch->type == RAFT_CONF_UPDATE_NODE) {
        ASSERT(present != NULL);
        m = *present; /* an update changes the peer URLs only: a learner stays one */
        if (ch->promote)
            m.is_learner = false;
        else
            m.peer_urls = ch->member.peer_urls;
    }
    apply_member(c, &m);
    return API_OK;
}

void cluster_put_conf_state(struct cluster *c, const struct raft_conf_state *cs)
{
    struct buf b;

    buf_init(&b, CLUSTER__TEXT_BYTES_MAX);
    ASSERT(cluster__conf_state_json(cs, &b));
    store_put(c->store, STORE_META, BYTES_LIT(STORE_META_CONF_STATE), buf_bytes(&b));
    buf_done(&b);
}

int cluster_get_conf_state(struct store *s, struct arena *a, struct raft_conf_state *ret,
                           bool *ret_found, struct err *e)
{
    struct bytes text;
    int rc = 0;

    *ret_found = store_get(s, STORE_META, BYTES_LIT(STORE_META_CONF_STATE), &text);
    if (*ret_found)
        rc = cluster__conf_state_parse(text, a, ret, e);
    return err_wrap(e, rc, "bucket meta: read confState");
}

/* ---- other changes ---- */

bool cluster_apply_attributes(struct cluster *c, uint64_t id, const char *name,
                              const struct cluster_strings *client_urls)
{
    const struct cluster_member *present = cluster_view_member(&c->view->pub, id);
    struct cluster_member m;

    if (present == NULL)
        return false;
    m = *present;
    m.name = name;
    m.client_urls = *client_urls;
    apply_member(c, &m);
    return true;
}

int cluster_apply_version(struct cluster *c, cluster_version v, struct err *e)
{
    char text[CLUSTER_VERSION_TEXT_BYTES];
    struct cluster__view *next;

    ASSERT(v != 0);
    cluster_version_text(v, text);
    if (v > c->cfg.level)
        return err_set(e, ERR_CLUSTER_TOO_NEW,
                       "invalid downgrade; server version is lower than determined cluster version "
                       "%s",
                       text);
    next = cluster__view_copy(&c->view->pub);
    next->pub.version = v;
    cluster__publish(c, next);
    store_put(c->store, STORE_CLUSTER, BYTES_LIT(CLUSTER__KEY_VERSION), bytes_str(text));
    return 0;
}

void cluster_apply_downgrade(struct cluster *c, bool enabled, const char *target)
{
    struct cluster__view *next = cluster__view_copy(&c->view->pub);
    struct buf b;

    buf_init(&b, CLUSTER__TEXT_BYTES_MAX);
    cluster__view_set_downgrade(next, enabled, target);
    cluster__publish(c, next);
    ASSERT(cluster__downgrade_json(&c->view->pub.downgrade, &b));
    store_put(c->store, STORE_CLUSTER, BYTES_LIT(CLUSTER__KEY_DOWNGRADE), buf_bytes(&b));
    buf_done(&b);
}

bool cluster_apply_alarm(struct cluster *c, uint64_t member_id, int kind, bool activate)
{
    const struct cluster_view *now = &c->view->pub;
    uint8_t buf[2 * (1 + PB_VARINT_BYTES_MAX)];
    uint8_t *p = pb_put_u64(buf, 1, member_id);
    struct cluster__view *next;
    struct bytes key;

    ASSERT(kind != 0);
    if (cluster__view_alarm_is_on(now, member_id, kind) == activate)
        return false;
    if (activate && now->alarms_n >= CLUSTER_ALARMS_MAX)
        return false;
    next = cluster__view_copy(now);
    cluster__view_set_alarm(next, member_id, kind, activate);
    cluster__publish(c, next);
    p = pb_put_u64(p, 2, (uint64_t) (int64_t) kind); /* an enum: negative ones take ten bytes */
    key = bytes_of(buf, (size_t) (p - buf));
    if (activate)
        store_put(c->store, STORE_ALARM, key, BYTES_EMPTY);
    else
        store_delete(c->store, STORE_ALARM, key);
    return true;
}

bool cluster_update_storage_version(struct cluster *c, bool may_lower)
{
    cluster_version now = stored_storage_version(c->store), target;
    char text[CLUSTER_VERSION_TEXT_BYTES];
    struct cluster__view *next;

    target = MIN(c->view->pub.version, c->cfg.level);
    /* Below 3.5 nothing is decided yet; without a known version of now there is no way from it. */
    if (target < CLUSTER_VERSION(3, 5) || now == 0)
        return false;
    if (target == now && c->view->pub.storage_version == now)
        return false;
    if (target < now && !may_lower)
        return false;
    if (target == CLUSTER_VERSION(3, 5)) {
        if (now != target)
            store_delete(c->store, STORE_META, BYTES_LIT(STORE_META_STORAGE_VERSION));
    } else if (target != now) {
        cluster_version_text(target, text);
        store_put(c->store, STORE_META, BYTES_LIT(STORE_META_STORAGE_VERSION), bytes_str(text));
    }
    next = cluster__view_copy(&c->view->pub);
    next->pub.storage_version = target;
    cluster__publish(c, next);
    return true;
}
