/* force.c -- --force-new-cluster: the members that a directory knows become one.
 *
 * As etcd does it (bootstrap.go): what is not known to be committed is dropped, and behind the rest
 * stand changes that remove all others, taken as committed although nobody else has them.
 */
#include "base/alloc.h"
#include "node/open.h"

#define FORCE_SELF_URL \
    "http://localhost:2380" /* etcd's, for a member that is not in its own list */

struct ids {
    uint64_t *v; /* ascending */
    size_t n;
};

static void ids_add(struct ids *x, uint64_t id)
{
    size_t at = 0;

    while (at < x->n && x->v[at] < id)
        at++;
    if (at < x->n && x->v[at] == id)
        return;
    x->v = xmem_realloc(x->v, (x->n + 1) * sizeof *x->v);
    memmove(x->v + at + 1, x->v + at, (x->n - at) * sizeof *x->v);
    x->v[at] = id;
    x->n++;
}

static void ids_remove(struct ids *x, uint64_t id)
{
    for (size_t i = 0; i < x->n; i++) {
        if (x->v[i] == id) {
            memmove(x->v + i, x->v + i + 1, (x->n - i - 1) * sizeof *x->v);
            x->n--;
            return;
        }
    }
}

/* Members of the data file, and what the log adds and takes. */
static int members(struct node *n, const struct wal_entries *v, struct ids *ret, struct err *e)
{
    const struct cluster_view *now = cluster_view(n->apply.cluster);

    for (size_t i = 0; i < now->members_n; i++)
        ids_add(ret, now->members[i].id);
    for (size_t i = 0; i < v->n; i++) {
        struct raft_conf_change cc;
        int rc;

        if (v->v[i].type != RAFT_ENTRY_CONF_CHANGE)
            continue;
        rc = raft_conf_change_get(v->v[i].data, &cc, e);
        if (rc != 0)
            return err_wrap(e, rc, "configuration change at index %" PRIu64, v->v[i].index);
        if (cc.type == RAFT_CONF_ADD_NODE || cc.type == RAFT_CONF_ADD_LEARNER_NODE)
            ids_add(ret, cc.node_id);
        else if (cc.type == RAFT_CONF_REMOVE_NODE)
            ids_remove(ret, cc.node_id);
    }
    return 0;
}

static void drop_uncommitted(struct node *n, struct wal_contents *c)
{
    struct wal_entries *v = &c->entries;
    size_t keep = v->n;

    while (keep > 0 && v->v[keep - 1].index > c->hard_state.commit)
        payload_unref(v->v[--keep].owner);
    if (keep == v->n)
        return;
    LOG_INFO(n->env.log, "discarding uncommitted WAL entries",
             F_U64("entry-index", v->v[keep].index),
             F_U64("commit-index-from-wal", c->hard_state.commit),
             F_U64("number-of-discarded-entries", v->n - keep));
    v->n = keep;
}

static void append(struct wal_contents *c, const struct raft_conf_change *cc)
{
    struct wal_entries *v = &c->entries;
    struct payload *p = payload_new(raft_conf_change_size(cc));

    if (p == NULL)
        mem_exhausted("a configuration change");
    raft_conf_change_put(cc, p->data);
    if (v->n == v->cap) {
        v->cap = MAX(v->cap * 2, (size_t) 8);
        v->v = xmem_realloc(v->v, v->cap * sizeof *v->v);
    }
    v->v[v->n++] = (struct raft_entry){.type = RAFT_ENTRY_CONF_CHANGE,
                                       .term = c->hard_state.term,
                                       .index = ++c->hard_state.commit,
                                       .data = bytes_of(p->data, p->bytes),
                                       .owner = p};
}

static void append_self(struct node *n, struct wal_contents *c)
{
    static const char *const urls[] = {FORCE_SELF_URL};
    struct cluster_change change = {.type = RAFT_CONF_ADD_NODE,
                                    .member = {.id = n->member_id,
                                               .name = "",
                                               .peer_urls = {(const char **) (uintptr_t) urls, 1}}};
    struct raft_conf_change cc = {.type = RAFT_CONF_ADD_NODE, .node_id = n->member_id};
    struct buf context;

    buf_init(&context, CLUSTER_ID_TEXT_BYTES * 16);
    if (!cluster_change_context_put(&change, &context))
        mem_exhausted("a configuration change");
    cc.context = buf_bytes(&context);
    append(c, &cc);
    buf_done(&context);
}

int node__force_new_cluster(struct node *n, struct wal_contents *c, struct err *e)
{
    raft_index commit = c->hard_state.commit;
    struct ids ids = {0};
    size_t first;
    bool found = false;
    int rc;

    c->hard_state.commit = MAX(commit, n->apply.applied);
    drop_uncommitted(n, c);
    first = c->entries.n;
    rc = members(n, &c->entries, &ids, e);
    for (size_t i = 0; i < ids.n; i++)
        found |= ids.v[i] == n->member_id;
    if (rc == 0 && !found)
        append_self(n, c);
    for (size_t i = 0; rc == 0 && i < ids.n; i++) {
        struct raft_conf_change cc = {.type = RAFT_CONF_REMOVE_NODE, .node_id = ids.v[i]};

        if (ids.v[i] != n->member_id)
            append(c, &cc);
    }
    mem_free(ids.v);
    if (rc == 0 && c->entries.n > first) {
        struct wal_save save = {.entries = c->entries.v + first, .entries_n = c->entries.n - first};

        rc = wal_append_batch(n->wal.wal, &save, 1, e);
    }
    if (rc == 0)
        LOG_INFO(n->env.log, "forcing restart member", F_HEX("cluster-id", n->cluster_id),
                 F_HEX("local-member-id", n->member_id), F_U64("wal-commit-index", commit),
                 F_U64("commit-index", c->hard_state.commit));
    return err_wrap(e, rc, "force a new cluster");
}
