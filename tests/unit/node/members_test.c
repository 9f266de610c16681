/* Membership: what members and their limits make of a change, and what is told of it. */
#include "lib/node/others.h"
#include "node/node_int.h"
#include "unit/node/lone.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_member_publishes_is_told),
        cmocka_unit_test(urls_of_a_new_member_are_sorted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
