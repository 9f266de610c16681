/* Membership: what members and their limits make of a change, and what is told of it. */
#include "engine/raft/raft_limits.h"
#include "lib/node/others.h"
#include "node/node_int.h"
#include "unit/node/lone.h"

#define TOO_MANY_LEARNERS "membership: too many learner members in cluster"

/* ---- helpers ---- */

static struct call *change(struct member *m, struct cluster_change *ch)
{
    struct call *c = test_malloc(sizeof *c);

    *c = (struct call){.r = {.kind = NODE_REQ_MEMBER_CHANGE,
                             .sink = &m->sink,
                             .arena = arena_new((size_t) 1 << 20),
                             .change = ch}};
    if (ch->member.name == NULL)
        ch->member.name = "";
    node_submit(m->node, &c->r);
    return c;
}

static void forget(struct call *c)
{
    arena_free(c->r.arena);
    test_free(c);
}

/* What the caller was told. */
static struct node_result done(struct member *m, struct cluster_change *ch)
{
    struct call *c = change(m, ch);
    struct node_result res;

    if (!member_run(m, 20000, &c->answered))
        fail_msg("died: %s", m->died);
    assert_true(c->answered);
    res = c->r.result;
    res.msg = NULL; /* it goes with the arena */
    forget(c);
    return res;
}

static struct node_result add(struct member *m, const char *url, bool learner)
{
    const char *const urls[] = {url};
    struct cluster_change ch = {.type = learner ? RAFT_CONF_ADD_LEARNER_NODE : RAFT_CONF_ADD_NODE,
                                .member = {.peer_urls = {urls, 1}, .is_learner = learner}};

    return done(m, &ch);
}

static raft_index committed(struct member *m)
{
    struct node_status st;

    node_status(m->node, &st);
    return st.commit;
}

/* Messages to the others are lost. */
static void no_send(void *ctx, const struct raft_message *m, size_t n)
{
    (void) ctx;
    (void) m;
    (void) n;
}

static void no_members(void *ctx, const struct cluster_view *v)
{
    (void) ctx;
    (void) v;
}

static mono_ns never_active(void *ctx, raft_id id)
{
    (void) ctx;
    (void) id;
    return 0;
}

static void no_ask(void *ctx, struct node_question *q)
{
    (void) ctx;
    q->done(q, 0, BYTES_EMPTY);
}

static const struct node_transport into_the_void = {
    .send = no_send, .members = no_members, .active_since = never_active, .ask = no_ask};

static struct member *lone_with_learners(struct simdisk *disk, int64_t learners_max)
{
    struct member *m = lone_new(disk, 1);

    m->transport = &into_the_void;
    m->cfg.learners_max = learners_max;
    lone_open(m);
    return m;
}

/* ---- what the peer side is told ---- */

static char told[64]; /* the client URL of the second member, as the transport heard it last */

static void on_members(void *ctx, const struct cluster_view *v)
{
    const struct others *o = ctx;
    const struct cluster_member *m = cluster_view_member(v, o->id[0]);

    if (m != NULL && m->client_urls.n > 0)
        snprintf(told, sizeof told, "%s %s", m->name, m->client_urls.v[0]);
}

/* What a member publishes of itself is told at once to the side that answers GET /members: a member
 * that lost its directory may begin anew only where nobody knows client URLs of it. */
static void what_a_member_publishes_is_told(void **state)
{
    Membershippb__Attributes at = MEMBERSHIPPB__ATTRIBUTES__INIT;
    Membershippb__ClusterMemberAttrSetRequest msg =
        MEMBERSHIPPB__CLUSTER_MEMBER_ATTR_SET_REQUEST__INIT;
    char url[] = "http://second:2379", name[] = "second", *urls[] = {url};
    struct others *o = test_malloc(sizeof *o);

    (void) state;
    others_init(o, 1);
    o->transport.members = on_members;
    others_elect(o);
    at.name = name;
    at.client_urls = urls;
    at.n_client_urls = 1;
    msg.member_id = o->id[0];
    msg.member_attributes = &at;
    told[0] = '\0';
    call_free(member_propose(&o->m, NODE_OP_MEMBER_ATTR_SET, &msg.base));
    others_settle(o);
    assert_string_equal(told, "second http://second:2379");
    others_done(o);
    test_free(o);
}

/* ---- the first entries ---- */

/* The URLs of a member are in ascending order, however its flags list them: every member writes the
 * same first entries, and keeps the same membership. */
static void urls_of_a_new_member_are_sorted(void **state)
{
    static const char *const names[] = {"m", "m", "m"};
    static const char *const urls[] = {"http://localhost:2382", "http://localhost:2380",
                                       "http://localhost:2381"};
    struct simdisk *disk = simdisk_new(1);
    struct member *m = lone_new(disk, 1);
    const struct cluster_member *self;

    (void) state;
    m->cfg.initial_names = names;
    m->cfg.initial_urls = urls;
    m->cfg.initial_n = ARRAY_LEN(names);
    lone_open(m);
    self = &node_cluster_view(m->node)->members[0];
    assert_int_equal(self->peer_urls.n, 3);
    assert_string_equal(self->peer_urls.v[0], urls[1]);
    assert_string_equal(self->peer_urls.v[1], urls[2]);
    assert_string_equal(self->peer_urls.v[2], urls[0]);
    lone_end(m, disk);
}

/* ---- learners ---- */

/* The limit is what the flag says: none where it is 0. */
static void learners_up_to_the_limit(void **state)
{
    (void) state;
    for (int64_t max = 0; max <= 2; max++) {
        struct simdisk *disk = simdisk_new(1);
        struct member *m = lone_with_learners(disk, max);
        char url[32];

        for (int64_t i = 0; i <= max; i++) {
            snprintf(url, sizeof url, "http://learner:%d", (int) i + 1);
            assert_int_equal(add(m, url, true).err, i < max ? API_OK : API_TOO_MANY_LEARNERS);
        }
        lone_end(m, disk);
    }
}

static void does_not_start(struct member *m)
{
    struct err e = ERR_INIT;

    assert_int_equal(member_open(m, &e), ERR_INVALID);
    assert_string_equal(e.msg, TOO_MANY_LEARNERS);
}

/* A member does not start where there are more learners than its limit; less than none is too few
 * for any, and nothing is made for such a one. */
static void too_many_learners_to_start(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = lone_new(disk, 1);

    (void) state;
    m->cfg.learners_max = -1;
    does_not_start(m);
    m->cfg.initial_existing = true;
    m->cfg.joined_member_id = 7;
    does_not_start(m);
    test_free(m);
    m = lone_with_learners(disk, 2);
    assert_int_equal(add(m, "http://learner:1", true).err, API_OK);
    assert_int_equal(add(m, "http://learner:2", true).err, API_OK);
    member_close(m);
    m->cfg.learners_max = 1;
    does_not_start(m);
    m->cfg.learners_max = -1;
    does_not_start(m);
    m->cfg.learners_max = 2;
    lone_open(m);
    lone_end(m, disk);
}

/* ---- how many there may be ---- */

/* One more than the core can count is refused before it is in the log, where it would stop every
 * member, at each of its starts. */
static void one_member_too_many(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = lone_with_learners(disk, 2 * RAFT_MEMBERS_MAX);
    struct node_result res;
    raft_index commit;
    char url[32];

    (void) state;
    member_may_die();
    for (int i = 1; i < RAFT_MEMBERS_MAX; i++) {
        snprintf(url, sizeof url, "http://learner:%d", i);
        assert_int_equal(add(m, url, true).err, API_OK);
    }
    for (int learner = 0; learner < 2; learner++) {
        commit = committed(m);
        res = add(m, "http://last:1", learner);
        assert_int_equal(res.code, GRPC_FAILED_PRECONDITION);
        assert_string_equal(res.text, "etcdserver: too many members in cluster: there may be 128");
        assert_int_equal(committed(m), commit);
    }
    member_close(m);
    lone_open(m);
    assert_int_equal(node_cluster_view(m->node)->members_n, RAFT_MEMBERS_MAX);
    lone_end(m, disk);
    member_must_live();
}

/* ---- what is refused before the log was asked ---- */

/* A follower may be behind: that it knows of no such member, or of another one with these URLs,
 * refuses nothing.  The leader is given the change. */
static void a_follower_refuses_nothing_by_what_it_has_not_heard(void **state)
{
    struct raft_message heartbeat = {.type = RAFT_MSG_HEARTBEAT, .term = 100};
    static const char *const taken[] = {"http://second:1"}, *const fresh[] = {"http://fresh:1"};
    struct others *o = test_malloc(sizeof *o);
    struct cluster_change ch[] = {
        {.type = RAFT_CONF_REMOVE_NODE, .member = {.id = 5}},
        {.type = RAFT_CONF_UPDATE_NODE, .member = {.id = 5, .peer_urls = {fresh, 1}}},
        {.type = RAFT_CONF_UPDATE_NODE, .member = {.peer_urls = {taken, 1}}},
    };
    struct call *c[ARRAY_LEN(ch)];

    (void) state;
    others_init(o, 2);
    others_say(o, 0, &heartbeat);
    others_settle(o);
    assert_int_equal(node_leader(o->m.node), o->id[0]);
    ch[2].member.id = o->id[1];
    for (size_t i = 0; i < ARRAY_LEN(ch); i++) {
        o->kept_n = 0;
        c[i] = change(&o->m, &ch[i]);
        others_settle(o);
        assert_false(c[i]->answered);
        assert_int_equal(others_got(o, RAFT_MSG_PROP, NULL), 1);
    }
    others_done(o);
    for (size_t i = 0; i < ARRAY_LEN(ch); i++)
        forget(c[i]);
    test_free(o);
}

/* Who was removed is gone for ever: that costs the log nothing.  What is not certain costs it an
 * entry, and its word counts. */
static void what_is_certain_costs_nothing(void **state)
{
    static const char *const urls[] = {"http://fresh:1"};
    struct cluster_change remove = {.type = RAFT_CONF_REMOVE_NODE, .member = {.id = 5}};
    struct cluster_change update = {.type = RAFT_CONF_UPDATE_NODE,
                                    .member = {.id = 5, .peer_urls = {urls, 1}}};
    struct simdisk *disk = simdisk_new(1);
    struct member *m = lone_with_learners(disk, 1);
    raft_index commit;

    (void) state;
    commit = committed(m);
    assert_int_equal(done(m, &remove).err, API_MEMBER_NOT_FOUND);
    assert_int_equal(done(m, &update).err, API_MEMBER_NOT_FOUND);
    assert_int_equal(committed(m), commit + 2);
    assert_int_equal(add(m, "http://learner:1", true).err, API_OK);
    for (size_t i = 0; i < 2; i++) {
        const struct cluster_member *x = &node_cluster_view(m->node)->members[i];

        if (x->is_learner)
            remove.member.id = update.member.id = x->id;
    }
    assert_int_equal(done(m, &remove).err, API_OK);
    commit = committed(m);
    assert_int_equal(done(m, &remove).err, API_MEMBER_NOT_FOUND);
    assert_int_equal(done(m, &update).err, API_MEMBER_NOT_FOUND);
    assert_int_equal(committed(m), commit);
    lone_end(m, disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_member_publishes_is_told),
        cmocka_unit_test(urls_of_a_new_member_are_sorted),
        cmocka_unit_test(learners_up_to_the_limit),
        cmocka_unit_test(too_many_learners_to_start),
        cmocka_unit_test(one_member_too_many),
        cmocka_unit_test(a_follower_refuses_nothing_by_what_it_has_not_heard),
        cmocka_unit_test(what_is_certain_costs_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
