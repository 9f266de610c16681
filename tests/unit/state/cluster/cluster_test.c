#include "base/endian.h"
#include "cluster_lib.h"
#include "wire/pb.h"

/* The records of members are what the reference shows, byte for byte, and are found again. */
static void member_records(void **state)
{
    struct fixture *f = *state;
    static const char *const urls[] = {"http://127.0.0.1:23794"};
    const struct cluster_strings client = {urls, 1};
    const struct cluster_member *m;

    assert_int_equal(apply(f, RAFT_CONF_ADD_NODE, 659376427131622954u,
                           "{\"id\":659376427131622954,\"peerURLs\":[\"http://127.0.0.1:23797\"],"
                           "\"name\":\"m1\"}"),
                     API_OK);
    assert_true(cluster_apply_attributes(f->c, 659376427131622954u, "m1", &client));
    assert_string_equal(record(f, STORE_MEMBERS, "926935df072562a"),
                        "{\"id\":659376427131622954,\"peerURLs\":[\"http://127.0.0.1:23797\"],"
                        "\"name\":\"m1\",\"clientURLs\":[\"http://127.0.0.1:23794\"]}");
    assert_int_equal(apply(f, RAFT_CONF_ADD_LEARNER_NODE, 18446744073709551615u,
                           "{\"id\":18446744073709551615,\"peerURLs\":[\"http://a?<&>\"],"
                           "\"isLearner\":true}"),
                     API_OK);
    assert_string_equal(record(f, STORE_MEMBERS, "ffffffffffffffff"),
                        "{\"id\":18446744073709551615,"
                        "\"peerURLs\":[\"http://a?\\u003c\\u0026\\u003e\"],\"isLearner\":true}");
    fixture_restart(f);
    assert_int_equal(cluster_view(f->c)->members_n, 2);
    assert_int_equal(cluster_view_voters(cluster_view(f->c)), 1);
    m = cluster_view_member(cluster_view(f->c), 659376427131622954u);
    assert_non_null(m);
    assert_string_equal(m->name, "m1");
    assert_string_equal(m->client_urls.v[0], urls[0]);
    assert_string_equal(cluster_view(f->c)->members[1].peer_urls.v[0], "http://a?<&>");
    assert_true(cluster_view(f->c)->members[1].is_learner);
}

/* A removed member leaves its id behind, for ever. */
static void removal(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(apply(f, RAFT_CONF_ADD_NODE, 0xa, "{\"id\":10,\"peerURLs\":[\"http://a:1\"]}"),
                     API_OK);
    assert_int_equal(apply(f, RAFT_CONF_REMOVE_NODE, 0xa, ""), API_OK);
    assert_null(record(f, STORE_MEMBERS, "a"));
    assert_string_equal(record(f, STORE_MEMBERS_REMOVED, "a"), "removed");
    fixture_restart(f);
    assert_int_equal(cluster_view(f->c)->members_n, 0);
    assert_true(cluster_view_is_removed(cluster_view(f->c), 0xa));
    assert_false(cluster_view_is_removed(cluster_view(f->c), 0xb));
    assert_int_equal(apply(f, RAFT_CONF_ADD_NODE, 0xa, "{\"id\":10,\"peerURLs\":[\"http://a:1\"]}"),
                     API_MEMBER_NOT_FOUND);
    assert_false(cluster_apply_attributes(f->c, 0xa, "x", &(struct cluster_strings){NULL, 0}));
}

/* A promotion makes a voter of a learner and keeps the rest; an update changes peer URLs only, and
 * a learner stays one. */
static void promote_and_update(void **state)
{
    struct fixture *f = *state;
    static const char *const urls[] = {"http://c:1"};
    const struct cluster_strings client = {urls, 1};

    assert_int_equal(apply(f, RAFT_CONF_ADD_LEARNER_NODE, 5,
                           "{\"id\":5,\"peerURLs\":[\"http://a:1\"],\"isLearner\":true}"),
                     API_OK);
    assert_true(cluster_apply_attributes(f->c, 5, "five", &client));
    assert_int_equal(apply(f, RAFT_CONF_UPDATE_NODE, 5, "{\"id\":5,\"peerURLs\":[\"http://b:1\"]}"),
                     API_OK);
    assert_string_equal(record(f, STORE_MEMBERS, "5"),
                        "{\"id\":5,\"peerURLs\":[\"http://b:1\"],\"isLearner\":true,"
                        "\"name\":\"five\",\"clientURLs\":[\"http://c:1\"]}");
    assert_int_equal(
        apply(f, RAFT_CONF_ADD_NODE, 5, "{\"id\":5,\"peerURLs\":null,\"isPromote\":true}"), API_OK);
    assert_string_equal(record(f, STORE_MEMBERS, "5"),
                        "{\"id\":5,\"peerURLs\":[\"http://b:1\"],"
                        "\"name\":\"five\",\"clientURLs\":[\"http://c:1\"]}");
}

/* A view that somebody keeps does not change. */
static void views_are_immutable(void **state)
{
    struct fixture *f = *state;
    const struct cluster_view *before;

    assert_int_equal(apply(f, RAFT_CONF_ADD_NODE, 1, "{\"id\":1,\"peerURLs\":[\"http://a:1\"]}"),
                     API_OK);
    before = cluster_view_ref(cluster_view(f->c));
    assert_int_equal(apply(f, RAFT_CONF_ADD_NODE, 2, "{\"id\":2,\"peerURLs\":[\"http://b:1\"]}"),
                     API_OK);
    assert_int_equal(apply(f, RAFT_CONF_REMOVE_NODE, 1, ""), API_OK);
    assert_int_equal(before->members_n, 1);
    assert_int_equal(before->members[0].id, 1);
    assert_int_equal(before->removed_n, 0);
    cluster_view_unref(before);
    assert_int_equal(cluster_view(f->c)->members[0].id, 2);
}

/* The cluster version is stored as text; one above the own level is refused, both when it is
 * applied and when it is found. */
static void cluster_versions(void **state)
{
    struct fixture *f = *state;
    struct cluster_config cc = {.cluster_id = 77, .local_id = 1, .level = CLUSTER_VERSION(3, 5)};
    struct cluster *other;
    struct err e = ERR_INIT;

    assert_int_equal(cluster_view(f->c)->version, 0);
    assert_int_equal(cluster_apply_version(f->c, CLUSTER_VERSION(3, 6), &e), 0);
    assert_string_equal(record(f, STORE_CLUSTER, "clusterVersion"), "3.6.0");
    assert_int_equal(cluster_apply_version(f->c, CLUSTER_VERSION(3, 8), &e), ERR_CLUSTER_TOO_NEW);
    assert_int_equal(cluster_view(f->c)->version, CLUSTER_VERSION(3, 6));
    fixture_restart(f);
    assert_int_equal(cluster_view(f->c)->version, CLUSTER_VERSION(3, 6));
    e = ERR_INIT;
    assert_int_equal(cluster_open(&cc, f->store, &other, &e), ERR_CLUSTER_TOO_NEW);
    assert_non_null(strstr(e.msg, "server version is lower than determined cluster version"));
}

/* Downgrade information is stored as etcd stores it and found again. */
static void downgrade(void **state)
{
    struct fixture *f = *state;

    cluster_apply_downgrade(f->c, true, "3.6.0");
    assert_string_equal(record(f, STORE_CLUSTER, "downgrade"),
                        "{\"target-version\":\"3.6.0\",\"enabled\":true}");
    fixture_restart(f);
    assert_true(cluster_view(f->c)->downgrade.enabled);
    assert_string_equal(cluster_view(f->c)->downgrade.target, "3.6.0");
    cluster_apply_downgrade(f->c, false, "");
    assert_string_equal(record(f, STORE_CLUSTER, "downgrade"),
                        "{\"target-version\":\"\",\"enabled\":false}");
}

/* Alarms are set and cleared once each, have the record as their key, and are found again in order.
 */
static void alarms(void **state)
{
    struct fixture *f = *state;
    struct bytes v;

    assert_true(cluster_apply_alarm(f->c, 9, 1, true));
    assert_false(cluster_apply_alarm(f->c, 9, 1, true));
    assert_true(cluster_apply_alarm(f->c, 3, 2, true));
    assert_true(cluster_apply_alarm(f->c, 9, -1, true));
    assert_false(cluster_apply_alarm(f->c, 3, 1, false));
    assert_true(store_get(f->store, STORE_ALARM, BYTES_LIT("\x08\x09\x10\x01"), &v));
    assert_int_equal(v.n, 0);
    fixture_restart(f);
    assert_int_equal(cluster_view(f->c)->alarms_n, 3);
    assert_int_equal(cluster_view(f->c)->alarms[0].member_id, 3);
    assert_int_equal(cluster_view(f->c)->alarms[1].kind, -1);
    assert_true(cluster_view_has_alarm(cluster_view(f->c), 1));
    assert_true(cluster_apply_alarm(f->c, 9, 1, false));
    assert_false(cluster_view_has_alarm(cluster_view(f->c), 1));
    assert_true(cluster_view_has_alarm(cluster_view(f->c), 2));
    assert_false(store_get(f->store, STORE_ALARM, BYTES_LIT("\x08\x09\x10\x01"), &v));
}

/* So many alarms and no more: clients choose the member ids. */
static void alarms_are_limited(void **state)
{
    struct fixture *f = *state;

    for (uint64_t i = 1; i <= CLUSTER_ALARMS_MAX; i++)
        assert_true(cluster_apply_alarm(f->c, i, 1, true));
    assert_false(cluster_apply_alarm(f->c, CLUSTER_ALARMS_MAX + 1, 1, true));
    fixture_restart(f);
    assert_int_equal(cluster_view(f->c)->alarms_n, CLUSTER_ALARMS_MAX);
    assert_true(cluster_apply_alarm(f->c, 5, 1, false));
    assert_true(cluster_apply_alarm(f->c, CLUSTER_ALARMS_MAX + 1, 1, true));
}

/* The storage version follows the cluster version, is absent at 3.5, unknown before the first
 * entry, never above the own level, and lowered only where that is allowed. */
static void storage_version(void **state)
{
    struct fixture *f = *state;

    assert_false(cluster_update_storage_version(f->c, true));
    assert_int_equal(cluster_apply_version(f->c, CLUSTER_VERSION(3, 7), NULL), 0);
    assert_false(cluster_update_storage_version(f->c, true)); /* nothing was applied yet */
    assert_int_equal(cluster_view(f->c)->storage_version, 0);
    store_set_applied(f->store, 4, 2);
    assert_true(cluster_update_storage_version(f->c, false));
    assert_string_equal(record(f, STORE_META, "storageVersion"), "3.7.0");
    assert_false(cluster_update_storage_version(f->c, true));
    assert_int_equal(cluster_apply_version(f->c, CLUSTER_VERSION(3, 6), NULL), 0);
    assert_false(cluster_update_storage_version(f->c, false));
    assert_true(cluster_update_storage_version(f->c, true));
    assert_string_equal(record(f, STORE_META, "storageVersion"), "3.6.0");
    fixture_restart(f);
    assert_int_equal(cluster_view(f->c)->storage_version, CLUSTER_VERSION(3, 6));
    assert_int_equal(cluster_apply_version(f->c, CLUSTER_VERSION(3, 5), NULL), 0);
    assert_true(cluster_update_storage_version(f->c, true));
    assert_null(record(f, STORE_META, "storageVersion"));
    assert_int_equal(cluster_view(f->c)->storage_version, CLUSTER_VERSION(3, 5));
    f->level = CLUSTER_VERSION(3, 5);
    fixture_restart(f);
    assert_int_equal(cluster_view(f->c)->storage_version, CLUSTER_VERSION(3, 5));
    assert_false(cluster_update_storage_version(f->c, true));
}

/* The ConfState's text is etcd's; unsigned 64-bit ids keep their last digits; without auto_leave it
 * is read too. */
static void conf_state(void **state)
{
    struct fixture *f = *state;
    uint64_t voters[] = {1, 18446744073709551615u}, learners[] = {7};
    struct raft_conf_state cs = {.voters = {voters, 2}, .learners = {learners, 1}}, got;
    bool found;

    assert_int_equal(cluster_get_conf_state(f->store, &f->arena, &got, &found, NULL), 0);
    assert_false(found);
    cluster_put_conf_state(f->c, &cs);
    assert_string_equal(record(f, STORE_META, "confState"),
                        "{\"voters\":[1,18446744073709551615],\"learners\":[7],"
                        "\"auto_leave\":false}");
    fixture_restart(f);
    assert_int_equal(cluster_get_conf_state(f->store, &f->arena, &got, &found, NULL), 0);
    assert_true(found);
    assert_int_equal(got.voters.n, 2);
    assert_true(got.voters.v[1] == UINT64_MAX);
    assert_int_equal(got.learners.v[0], 7);
    assert_false(got.auto_leave);
    store_put(f->store, STORE_META, BYTES_LIT(STORE_META_CONF_STATE),
              BYTES_LIT("{\"voters\":[3]}"));
    assert_int_equal(cluster_get_conf_state(f->store, &f->arena, &got, &found, NULL), 0);
    assert_int_equal(got.voters.v[0], 3);
    store_put(f->store, STORE_META, BYTES_LIT(STORE_META_CONF_STATE),
              BYTES_LIT("{\"voters\":[-3]}"));
    assert_int_equal(cluster_get_conf_state(f->store, &f->arena, &got, &found, NULL), ERR_CORRUPT);
}

/* What was applied loads, however much it is: ids that were removed, more than 65,536 of them,
 * alarms that an etcd took, a member whose record has grown beyond what one change may bring. */
static void what_was_applied_loads(void **state)
{
    struct fixture *f = *state;
    size_t n = (4 << 20) - 64;
    const char *url = arena_printf(&f->arena, "http://%0*d@h:1", (int) n - 64, 0);
    const char *context = arena_printf(&f->arena, "{\"id\":10,\"peerURLs\":[\"%s\"]}", url);
    const struct cluster_strings client = {&url, 1};

    for (uint64_t i = 0; i <= 65536; i++) {
        char key[CLUSTER_ID_TEXT_BYTES];

        cluster_id_text(100 + i, key);
        store_put(f->store, STORE_MEMBERS_REMOVED, bytes_str(key), BYTES_LIT("removed"));
    }
    for (uint64_t i = 1; i <= CLUSTER_ALARMS_MAX + 1; i++) {
        uint8_t key[16], *end = pb_put_u64(pb_put_u64(key, 1, i), 2, 1);

        store_put(f->store, STORE_ALARM, bytes_of(key, (size_t) (end - key)), BYTES_EMPTY);
    }
    fixture_restart(f);
    assert_int_equal(cluster_view(f->c)->removed_n, 65537);
    assert_true(cluster_view_is_removed(cluster_view(f->c), 65636));
    assert_int_equal(cluster_view(f->c)->alarms_n, CLUSTER_ALARMS_MAX + 1);
    assert_int_equal(apply(f, RAFT_CONF_ADD_NODE, 10, context), API_OK);
    assert_true(cluster_apply_attributes(f->c, 10, "m", &client));
    fixture_restart(f);
    assert_string_equal(cluster_view_member(cluster_view(f->c), 10)->client_urls.v[0], url);
}

/* Records that cannot be right stop the start, naming the bucket. */
static void damaged_records(void **state)
{
    static const struct {
        enum store_bucket bucket;
        const char *key, *value;
    } bad[] = {
        {STORE_MEMBERS, "zz", "{\"id\":1,\"peerURLs\":[]}"},
        {STORE_MEMBERS, "1", "{\"id\":2,\"peerURLs\":[]}"},
        {STORE_MEMBERS, "1", "{\"id\":1,\"peerURLs\":7}"},
        {STORE_MEMBERS, "1", "{\"id\":1,\"peerURLs\":[3]}"},
        {STORE_MEMBERS, "1", "{\"id\":1.5}"},
        {STORE_MEMBERS, "1", "{\"id\":1} x"},
        {STORE_MEMBERS, "1", ""},
        {STORE_MEMBERS_REMOVED, "x", "removed"},
        {STORE_CLUSTER, "clusterVersion", "three"},
        {STORE_CLUSTER, "downgrade", "[]"},
        {STORE_ALARM, "\xff", ""},
    };
    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        void *s;
        struct fixture *f;
        const struct cluster_config cc = {.cluster_id = 77, .level = CLUSTER_VERSION(3, 7)};
        struct err e = ERR_INIT;
        struct cluster *other;

        assert_int_equal(fixture_set_up(&s), 0);
        f = s;
        store_put(f->store, bad[i].bucket, bytes_str(bad[i].key), bytes_str(bad[i].value));
        store_seal(f->store);
        assert_int_equal(store_commit(f->store, &e), 0);
        if (cluster_open(&cc, f->store, &other, &e) != ERR_CLUSTER_DAMAGED)
            fail_msg("record %zu was taken", i);
        assert_non_null(strstr(e.msg, "bucket "));
        fixture_tear_down(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)
        T(member_records),
        T(removal),
        T(promote_and_update),
        T(views_are_immutable),
        T(cluster_versions),
        T(downgrade),
        T(alarms),
        T(alarms_are_limited),
        T(storage_version),
        T(conf_state),
        T(what_was_applied_loads),
        cmocka_unit_test(damaged_records),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
