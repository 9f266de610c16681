/* operator.c -- who runs the cluster: starts the members, changes the membership, and looks now and
 * then that those run that belong to it, and nobody else. */
#include "sim/member/sim.h"

#define MEMBERS_MAX 5
#define MEMBERS_MIN 3

/* ---- who should run ---- */

static void retire(struct sim *s, void *arg)
{
    struct sim_member *m = arg;

    (void) s;
    if (m->wanted)
        return;
    sim_member_crash(m, SIM_CRASH_KEEP);
    m->disk = NULL;
    m->id = 0;
}

static struct sim_member *reserved_for(struct sim *s, const struct cluster_member *x)
{
    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        struct sim_member *m = &s->members[i];

        if (m->disk == NULL && m->reserved && x->peer_urls.n == 1 &&
            strcmp(m->peer_url, x->peer_urls.v[0]) == 0)
            return m;
    }
    return NULL;
}

/* Starts whom the leader knows and stops whom it has seen removed. */
static void reconcile(struct sim *s)
{
    struct sim_member *leader = sim_leader(s);
    const struct cluster_view *v = leader == NULL ? NULL : leader->view;

    for (size_t i = 0; v != NULL && i < v->members_n; i++) {
        struct sim_member *m = sim_member_of(s, v->members[i].id);

        if (m != NULL || (m = reserved_for(s, &v->members[i])) == NULL)
            continue;
        m->reserved = false;
        sim_member_prepare(m, v->members[i].id);
        sim_trace(s, m, "joins");
        s->result.counts.members_changed++;
        sim_member_start(m);
    }
    for (uint32_t i = 0; v != NULL && i < SIM_MEMBERS; i++) {
        struct sim_member *m = &s->members[i];

        if (m->disk == NULL || !m->wanted || !cluster_view_is_removed(v, m->id))
            continue;
        sim_trace(s, m, "is no member any more");
        s->result.counts.members_changed++;
        m->wanted = false;
        sim_at(s, sim_delay(&s->operator_random, 2 * SIM_S), retire, m);
    }
}

static void see_leader(struct sim *s)
{
    const struct sim_member *leader = sim_leader(s);
    uint64_t id = leader == NULL ? 0 : leader->id;

    if (id != s->leader || id == 0)
        s->leader_since = s->now;
    s->leader = id;
}

static void look(struct sim *s, void *arg)
{
    (void) arg;
    see_leader(s);
    reconcile(s);
    for (uint32_t i = 0; s->healing && i < SIM_MEMBERS; i++) {
        struct sim_member *m = &s->members[i];

        if (m->disk != NULL && m->wanted && !m->up)
            sim_member_start(m);
    }
    sim_at(s, 300 * SIM_MS, look, NULL);
}

void sim_operator_heal(struct sim *s)
{
    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        struct sim_member *m = &s->members[i];

        if (m->disk == NULL)
            continue;
        simdisk_set_capacity(m->disk, 0);
        simdisk_fail(m->disk, 0, 0, 0, false);
        m->expects_io = false;
        if (!m->up && m->wanted)
            sim_member_start(m);
    }
}

static void first_start(struct sim *s, void *arg)
{
    (void) s;
    sim_member_start(arg);
}

void sim_operator_begin(struct sim *s)
{
    for (uint32_t i = 0; i < s->setup.members; i++) {
        sim_member_prepare(&s->members[i], 0);
        sim_at(s, sim_delay(&s->operator_random, 300 * SIM_MS), first_start, &s->members[i]);
    }
    sim_at(s, 300 * SIM_MS, look, NULL);
}

/* ---- changes ---- */

static void on_changed(struct sim_call *c)
{
    sim_trace(c->m->sim, c->m, "a change of members: %s",
              sim_call_ok(c)              ? "done"
              : c->r.result.err != API_OK ? api_error_text(c->r.result.err)
                                          : c->r.result.text);
    sim_call_free(c);
}

static struct sim_call *change_new(struct sim_member *at, enum raft_conf_change_type type)
{
    struct sim_call *c = sim_call_new(at, NODE_REQ_MEMBER_CHANGE, on_changed, NULL);

    c->r.change = arena_calloc(c->r.arena, 1, sizeof *c->r.change);
    ASSERT(c->r.change != NULL);
    c->r.change->type = type;
    c->r.change->member.name = "";
    return c;
}

static struct sim_member *free_place(struct sim *s)
{
    for (uint32_t i = 0; i < SIM_MEMBERS; i++)
        if (s->members[i].disk == NULL && !s->members[i].up)
            return &s->members[i];
    return NULL;
}

static void add(struct sim *s, struct sim_member *at, bool learner)
{
    struct sim_member *m = free_place(s);
    const char **urls;
    struct sim_call *c;

    if (m == NULL)
        return;
    s->joiners++;
    sim_member_reserve(m);
    c = change_new(at, learner ? RAFT_CONF_ADD_LEARNER_NODE : RAFT_CONF_ADD_NODE);
    urls = arena_calloc(c->r.arena, 1, sizeof(const char *));
    urls[0] = arena_dup(c->r.arena, m->peer_url, strlen(m->peer_url) + 1);
    c->r.change->member.peer_urls = (struct cluster_strings){urls, 1};
    c->r.change->member.is_learner = learner;
    sim_trace(s, at, "is asked to add %s%s", m->name, learner ? " as a learner" : "");
    sim_call_submit(c);
}

static void remove_one(struct sim *s, struct sim_member *at, const struct cluster_view *v,
                       uint64_t arg)
{
    struct sim_call *c = change_new(at, RAFT_CONF_REMOVE_NODE);

    c->r.change->member.id = v->members[arg % v->members_n].id;
    sim_trace(s, at, "is asked to remove %s", v->members[arg % v->members_n].name);
    sim_call_submit(c);
}

static const struct cluster_member *some_learner(const struct cluster_view *v)
{
    for (size_t i = 0; i < v->members_n; i++)
        if (v->members[i].is_learner)
            return &v->members[i];
    return NULL;
}

static void promote(struct sim *s, struct sim_member *at, uint64_t id)
{
    struct sim_call *c = change_new(at, RAFT_CONF_ADD_NODE);

    c->r.change->promote = true;
    c->r.change->member.id = id;
    sim_trace(s, at, "is asked to promote a learner");
    sim_call_submit(c);
}

void sim_change_members(struct sim *s, uint32_t a, uint64_t arg)
{
    struct sim_member *at = sim_chance(&s->operator_random, 2) == 0 ? sim_leader(s)
                                                                    : &s->members[a];
    const struct cluster_view *v;
    const struct cluster_member *learner;

    if (at == NULL || !sim_member_serves(at) || at->view == NULL)
        return;
    v = at->view;
    learner = some_learner(v);
    if (learner != NULL && arg % 3 != 0)
        promote(s, at, learner->id);
    else if (v->members_n >= MEMBERS_MAX || (v->members_n > MEMBERS_MIN && arg / 3 % 2 == 0))
        remove_one(s, at, v, arg / 6);
    else
        add(s, at, arg / 6 % 2 == 0);
}

static void on_moved(struct sim_call *c)
{
    sim_call_free(c);
}

void sim_move_leader(struct sim *s, uint32_t a)
{
    struct sim_member *leader = sim_leader(s);
    struct sim_call *c;

    if (leader == NULL || !sim_member_serves(leader))
        return;
    c = sim_call_new(leader, NODE_REQ_MOVE_LEADER, on_moved, NULL);
    c->r.target = s->members[a].id;
    sim_call_submit(c);
}
