#include "engine/raft/confchange.h"

/* A configuration in the making, beside the one in force. */
struct plan {
    struct raft_members members;
    /* Those who are on their way out, voters and learners, each up to the limit: that they are too
     * many together is seen at the end. */
    struct raft_progress progress[3 * RAFT_MEMBERS_MAX];
    size_t n;
    raft_index last;
    const struct raft_tracker *base;
};

static struct plan *plan_new(const struct raft_tracker *t, raft_index last)
{
    struct plan *p = xmem_alloc(sizeof *p);

    raft__tracker_check(t);
    ASSERT(t->n <= ARRAY_LEN(p->progress));
    p->members = t->members;
    if (t->n > 0)
        memcpy(p->progress, t->progress, t->n * sizeof t->progress[0]);
    p->n = t->n;
    p->last = last;
    p->base = t;
    return p;
}

/* The plan comes into force. */
static void plan_adopt(struct plan *p, struct raft_tracker *t)
{
    ASSERT(p->base == t);
    ASSERT(p->n <= RAFT_MEMBERS_MAX);
    for (size_t i = 0, j = 0; i < t->n; i++) {
        while (j < p->n && p->progress[j].id < t->progress[i].id)
            j++;
        if (j == p->n || p->progress[j].id != t->progress[i].id)
            raft__inflights_done(&t->progress[i].inflights);
    }
    if (p->n > t->cap) {
        t->cap = p->n;
        t->progress = xmem_realloc(t->progress, t->cap * sizeof t->progress[0]);
    }
    if (p->n > 0)
        memcpy(t->progress, p->progress, p->n * sizeof p->progress[0]);
    t->n = p->n;
    t->members = p->members;
    raft__tracker_check(t);
}

static struct raft_progress *plan_get(struct plan *p, raft_id id)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->progress[i].id == id)
            return &p->progress[i];
    return NULL;
}

static int plan_full(struct err *e)
{
    return err_set(e, ERR_RAFT_CONF_CHANGE, "more than %d members", RAFT_MEMBERS_MAX);
}

static void plan_drop_progress(struct plan *p, raft_id id)
{
    struct raft_progress *x = plan_get(p, id);
    size_t i;

    ASSERT(x != NULL);
    i = (size_t) (x - p->progress);
    p->n--;
    memmove(x, x + 1, (p->n - i) * sizeof *x);
}

static void plan_new_progress(struct plan *p, raft_id id, bool learner)
{
    size_t i = p->n;

    ASSERT(p->n < ARRAY_LEN(p->progress));
    for (; i > 0 && p->progress[i - 1].id > id; i--)
        p->progress[i] = p->progress[i - 1];
    p->n++;
    p->progress[i] = (struct raft_progress){
        .id = id,
        .next = MAX(p->last, 1),
        .state = RAFT_PROBE,
        /* As if just heard of: check-quorum must not depose the leader before a new member had a
         * chance to answer. */
        .recent_active = true,
        .learner = learner,
        .inflights = {.max = p->base->inflight_max, .bytes_max = p->base->inflight_bytes_max},
    };
}

static int make_voter(struct plan *p, raft_id id, struct err *e)
{
    struct raft_progress *x = plan_get(p, id);

    ASSERT(id != RAFT_NONE);
    if (!raft__ids_add(&p->members.incoming, id))
        return plan_full(e);
    if (x == NULL) {
        plan_new_progress(p, id, false);
        return 0;
    }
    x->learner = false;
    raft__ids_del(&p->members.learners, id);
    raft__ids_del(&p->members.learners_next, id);
    return 0;
}

static int make_learner(struct plan *p, raft_id id, struct err *e)
{
    struct raft_progress *x = plan_get(p, id);

    ASSERT(id != RAFT_NONE);
    if (x == NULL) {
        if (!raft__ids_add(&p->members.learners, id))
            return plan_full(e);
        plan_new_progress(p, id, true);
        return 0;
    }
    if (x->learner)
        return 0;
    raft__ids_del(&p->members.incoming, id);
    /* Who still votes in the outgoing half becomes a learner only when the joint state is left. */
    x->learner = !raft__ids_has(&p->members.outgoing, id);
    if (!raft__ids_add(x->learner ? &p->members.learners : &p->members.learners_next, id))
        return plan_full(e);
    return 0;
}

static void remove_member(struct plan *p, raft_id id)
{
    ASSERT(id != RAFT_NONE);
    if (plan_get(p, id) == NULL)
        return;
    raft__ids_del(&p->members.incoming, id);
    raft__ids_del(&p->members.learners, id);
    raft__ids_del(&p->members.learners_next, id);
    if (!raft__ids_has(&p->members.outgoing, id))
        plan_drop_progress(p, id);
}

static int plan_change(struct plan *p, const struct raft_conf_change_single *c, struct err *e)
{
    switch (c->type) {
    case RAFT_CONF_ADD_NODE:
        return make_voter(p, c->node_id, e);
    case RAFT_CONF_ADD_LEARNER_NODE:
        return make_learner(p, c->node_id, e);
    case RAFT_CONF_REMOVE_NODE:
        remove_member(p, c->node_id);
        return 0;
    case RAFT_CONF_UPDATE_NODE:
        return 0;
    }
    return err_set(e, ERR_RAFT_CONF_CHANGE, "unexpected conf type %d", (int) c->type);
}

static int plan_changes(struct plan *p, const struct raft_conf_change_single *v, size_t n,
                        struct err *e)
{
    ASSERT(v != NULL || n == 0);
    for (size_t i = 0; i < n; i++) {
        int rc;

        /* Node id 0 is how the application says that it refused the change. */
        if (v[i].node_id == RAFT_NONE)
            continue;
        rc = plan_change(p, &v[i], e);
        if (rc != 0)
            return rc;
    }
    if (p->members.incoming.n == 0)
        return err_set(e, ERR_RAFT_CONF_CHANGE, "removed all voters");
    /* The tracker, the wire and the stack arrays all count on it. */
    return p->n > RAFT_MEMBERS_MAX ? plan_full(e) : 0;
}

static int plan_end(struct plan *p, struct raft_tracker *t, int rc)
{
    ASSERT(p->base == t);
    if (rc == 0)
        plan_adopt(p, t);
    mem_free(p);
    return rc;
}

int raft__conf_simple(struct raft_tracker *t, raft_index last,
                      const struct raft_conf_change_single *v, size_t n, struct err *e)
{
    struct plan *p;
    int rc;

    if (raft__tracker_is_joint(t))
        return err_set(e, ERR_RAFT_CONF_CHANGE, "can't apply simple config change in joint config");
    p = plan_new(t, last);
    rc = plan_changes(p, v, n, e);
    if (rc == 0 && raft__ids_difference(&t->members.incoming, &p->members.incoming) > 1)
        rc = err_set(e, ERR_RAFT_CONF_CHANGE,
                     "more than one voter changed without entering joint config");
    return plan_end(p, t, rc);
}

int raft__conf_enter_joint(struct raft_tracker *t, raft_index last, bool auto_leave,
                           const struct raft_conf_change_single *v, size_t n, struct err *e)
{
    struct plan *p;
    int rc;

    if (raft__tracker_is_joint(t))
        return err_set(e, ERR_RAFT_CONF_CHANGE, "config is already joint");
    if (t->members.incoming.n == 0)
        return err_set(e, ERR_RAFT_CONF_CHANGE, "can't make a zero-voter config joint");
    p = plan_new(t, last);
    p->members.outgoing = p->members.incoming;
    rc = plan_changes(p, v, n, e);
    p->members.auto_leave = auto_leave;
    return plan_end(p, t, rc);
}

int raft__conf_leave_joint(struct raft_tracker *t, struct err *e)
{
    struct plan *p;
    struct raft_members *m;

    if (!raft__tracker_is_joint(t))
        return err_set(e, ERR_RAFT_CONF_CHANGE, "can't leave a non-joint config");
    p = plan_new(t, 0);
    m = &p->members;
    for (size_t i = 0; i < m->learners_next.n; i++) {
        bool added = raft__ids_add(&m->learners, m->learners_next.v[i]);

        ASSERT(added); /* no more members than before */
        plan_get(p, m->learners_next.v[i])->learner = true;
    }
    m->learners_next.n = 0;
    for (size_t i = 0; i < m->outgoing.n; i++) {
        raft_id id = m->outgoing.v[i];

        if (!raft__ids_has(&m->incoming, id) && !raft__ids_has(&m->learners, id))
            plan_drop_progress(p, id);
    }
    m->outgoing.n = 0;
    m->auto_leave = false;
    return plan_end(p, t, 0);
}

static bool goes_joint(const struct raft_conf_change_v2 *c)
{
    return c->transition != RAFT_CONF_AUTO || c->changes_n > 1;
}

int raft__conf_fits(const struct raft_tracker *t, const struct raft_conf_change_v2 *c,
                    struct err *e)
{
    struct plan *p = plan_new(t, 0);
    int rc;

    if (goes_joint(c))
        p->members.outgoing = p->members.incoming;
    rc = plan_changes(p, c->changes, c->changes_n, e);
    mem_free(p);
    return rc;
}

int raft__conf_apply(struct raft_tracker *t, raft_index last, const struct raft_conf_change_v2 *c,
                     struct err *e)
{
    ASSERT(c->changes != NULL || c->changes_n == 0);
    if (c->transition == RAFT_CONF_AUTO && c->changes_n == 0)
        return raft__conf_leave_joint(t, e);
    if (goes_joint(c))
        return raft__conf_enter_joint(t, last, c->transition != RAFT_CONF_JOINT_EXPLICIT,
                                      c->changes, c->changes_n, e);
    return raft__conf_simple(t, last, c->changes, c->changes_n, e);
}

/* ---- restoring ---- */

static int simple_each(struct raft_tracker *t, raft_index last, enum raft_conf_change_type type,
                       const struct raft_ids *ids, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ids->n; i++)
        rc = raft__conf_simple(t, last, &(struct raft_conf_change_single){type, ids->v[i]}, 1, e);
    return rc;
}

static void collect(struct raft_conf_change_single *v, size_t *n, enum raft_conf_change_type type,
                    const struct raft_ids *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        v[(*n)++] = (struct raft_conf_change_single){type, ids->v[i]};
}

/* The outgoing half becomes a plain configuration, and the joint one is entered from there. */
static int restore_joint(struct raft_tracker *t, raft_index last, const struct raft_conf_state *cs,
                         struct err *e)
{
    size_t max = cs->voters.n + cs->learners.n + cs->voters_outgoing.n + cs->learners_next.n;
    struct raft_conf_change_single *v;
    size_t n = 0;
    int rc = simple_each(t, last, RAFT_CONF_ADD_NODE, &cs->voters_outgoing, e);

    ASSERT(cs->voters_outgoing.n > 0);
    if (rc != 0)
        return rc;
    v = xmem_alloc(max * sizeof *v);
    collect(v, &n, RAFT_CONF_REMOVE_NODE, &cs->voters_outgoing);
    collect(v, &n, RAFT_CONF_ADD_NODE, &cs->voters);
    collect(v, &n, RAFT_CONF_ADD_LEARNER_NODE, &cs->learners);
    collect(v, &n, RAFT_CONF_ADD_LEARNER_NODE, &cs->learners_next);
    ASSERT(n == max);
    rc = raft__conf_enter_joint(t, last, cs->auto_leave, v, n, e);
    mem_free(v);
    return rc;
}

int raft__conf_restore(struct raft_tracker *t, raft_index last, const struct raft_conf_state *cs,
                       struct err *e)
{
    int rc;

    ASSERT(t->n == 0);
    if (cs->voters_outgoing.n > 0)
        return restore_joint(t, last, cs, e);
    rc = simple_each(t, last, RAFT_CONF_ADD_NODE, &cs->voters, e);
    if (rc == 0)
        rc = simple_each(t, last, RAFT_CONF_ADD_LEARNER_NODE, &cs->learners, e);
    if (rc == 0)
        rc = simple_each(t, last, RAFT_CONF_ADD_LEARNER_NODE, &cs->learners_next, e);
    return rc;
}

static bool same_ids(const struct raft_ids *a, const struct raft_ids *b)
{
    struct raft_id_set s = {0};

    if (a->n != b->n || a->n > RAFT_MEMBERS_MAX)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i] == RAFT_NONE || !raft__ids_add(&s, a->v[i])) /* nobody is no member */
            return false;
    for (size_t i = 0; i < b->n; i++)
        if (!raft__ids_has(&s, b->v[i]))
            return false;
    return true;
}

bool raft__conf_state_equal(const struct raft_conf_state *a, const struct raft_conf_state *b)
{
    return same_ids(&a->voters, &b->voters) && same_ids(&a->learners, &b->learners) &&
           same_ids(&a->voters_outgoing, &b->voters_outgoing) &&
           same_ids(&a->learners_next, &b->learners_next) && a->auto_leave == b->auto_leave;
}

int raft__conf_change_of(const struct raft_entry *e, struct arena *a,
                         struct raft_conf_change_single *ret_single,
                         struct raft_conf_change_v2 *ret)
{
    struct raft_conf_change v1;
    int rc;

    ASSERT(e->type != RAFT_ENTRY_NORMAL);
    if (e->type == RAFT_ENTRY_CONF_CHANGE_V2)
        return raft_conf_change_v2_get(e->data, a, ret, NULL);
    rc = raft_conf_change_get(e->data, &v1, NULL);
    if (rc == 0)
        *ret = raft_conf_change_as_v2(&v1, ret_single);
    return rc;
}
