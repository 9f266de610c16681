#include "cluster_lib.h"

/* Five members: voters 1 to 3, of which 3 has not started, learner 4; 9 was removed. */
static int set_up(void **state)
{
    struct fixture *f;
    static const char *const urls[] = {"http://c:1"};
    const struct cluster_strings client = {urls, 1};

    fixture_set_up(state);
    f = *state;
    apply(f, RAFT_CONF_ADD_NODE, 9, "{\"id\":9,\"peerURLs\":[\"http://nine:1\"]}");
    apply(f, RAFT_CONF_REMOVE_NODE, 9, "");
    apply(f, RAFT_CONF_ADD_NODE, 1, "{\"id\":1,\"peerURLs\":[\"http://one:1\"],\"name\":\"m1\"}");
    apply(f, RAFT_CONF_ADD_NODE, 2, "{\"id\":2,\"peerURLs\":[\"http://two:1\",\"http://two:2\"]}");
    assert_true(cluster_apply_attributes(f->c, 2, "m2", &client));
    apply(f, RAFT_CONF_ADD_NODE, 3, "{\"id\":3,\"peerURLs\":[\"http://three:1\"]}");
    apply(f, RAFT_CONF_ADD_LEARNER_NODE, 4,
          "{\"id\":4,\"peerURLs\":[\"http://four:1\"],\"isLearner\":true}");
    assert_int_equal(cluster_view(f->c)->members_n, 4);
    return 0;
}

/* Each rule that a change is checked against when it is applied, with the answer its caller gets;
 * what is refused changes nothing. */
static void validation(void **state)
{
    static const struct {
        enum raft_conf_change_type type;
        uint64_t id;
        const char *context;
        enum api_error want;
    } cases[] = {
        {RAFT_CONF_ADD_NODE, 1, "{\"id\":1,\"peerURLs\":[\"http://x:1\"]}", API_MEMBER_EXIST},
        {RAFT_CONF_ADD_NODE, 4, "{\"id\":4,\"peerURLs\":[\"http://x:1\"]}", API_MEMBER_EXIST},
        {RAFT_CONF_ADD_NODE, 9, "{\"id\":9,\"peerURLs\":[\"http://x:1\"]}", API_MEMBER_NOT_FOUND},
        {RAFT_CONF_ADD_NODE, 5, "{\"id\":5,\"peerURLs\":[\"http://y:1\",\"http://two:2\"]}",
         API_PEER_URL_EXIST},
        {RAFT_CONF_ADD_LEARNER_NODE, 5,
         "{\"id\":5,\"peerURLs\":[\"http://x:1\"],\"isLearner\":true}", API_TOO_MANY_LEARNERS},
        {RAFT_CONF_ADD_NODE, 1, "{\"id\":1,\"peerURLs\":null,\"isPromote\":true}",
         API_MEMBER_NOT_LEARNER},
        {RAFT_CONF_ADD_NODE, 5, "{\"id\":5,\"peerURLs\":null,\"isPromote\":true}",
         API_MEMBER_NOT_FOUND},
        {RAFT_CONF_ADD_NODE, 9, "{\"id\":9,\"peerURLs\":null,\"isPromote\":true}",
         API_MEMBER_NOT_FOUND},
        {RAFT_CONF_REMOVE_NODE, 5, "", API_MEMBER_NOT_FOUND},
        {RAFT_CONF_REMOVE_NODE, 9, "", API_MEMBER_NOT_FOUND},
        {RAFT_CONF_UPDATE_NODE, 5, "{\"id\":5,\"peerURLs\":[\"http://x:1\"]}",
         API_MEMBER_NOT_FOUND},
        {RAFT_CONF_UPDATE_NODE, 1, "{\"id\":1,\"peerURLs\":[\"http://two:1\"]}",
         API_PEER_URL_EXIST},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct cluster_view *before = cluster_view(f->c);

        if (apply(f, cases[i].type, cases[i].id, cases[i].context) != cases[i].want)
            fail_msg("case %zu", i);
        assert_ptr_equal(cluster_view(f->c), before);
    }
    assert_int_equal(apply(f, RAFT_CONF_UPDATE_NODE, 1,
                           "{\"id\":1,\"peerURLs\":[\"http://one:1\",\"http://one:2\"]}"),
                     API_OK);
    assert_int_equal(apply(f, RAFT_CONF_ADD_NODE, 5, "{\"id\":5,\"peerURLs\":[\"http://x:1\"]}"),
                     API_OK);
}

/* Contexts are written byte for byte as etcd writes them, and read back. */
static void contexts(void **state)
{
    static const char *const urls[] = {"http://a:1"};
    const struct cluster_member add = {.id = 7, .peer_urls = {urls, 1}, .name = ""};
    const struct cluster_member boot = {.id = 7, .peer_urls = {urls, 1}, .name = "m1"};
    const struct cluster_member learner = {
        .id = 7, .peer_urls = {urls, 1}, .is_learner = true, .name = ""};
    const struct cluster_member bare = {.id = 7, .name = ""};
    const struct {
        struct cluster_change ch;
        const char *want;
    } cases[] = {
        {{RAFT_CONF_ADD_NODE, false, add}, "{\"id\":7,\"peerURLs\":[\"http://a:1\"]}"},
        {{RAFT_CONF_ADD_NODE, false, boot},
         "{\"id\":7,\"peerURLs\":[\"http://a:1\"],\"name\":\"m1\"}"},
        {{RAFT_CONF_ADD_LEARNER_NODE, false, learner},
         "{\"id\":7,\"peerURLs\":[\"http://a:1\"],\"isLearner\":true}"},
        {{RAFT_CONF_ADD_NODE, true, bare}, "{\"id\":7,\"peerURLs\":null,\"isPromote\":true}"},
        {{RAFT_CONF_UPDATE_NODE, false, add}, "{\"id\":7,\"peerURLs\":[\"http://a:1\"]}"},
        {{RAFT_CONF_REMOVE_NODE, false, bare}, ""},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cluster_change got;
        struct buf b;

        buf_init(&b, 4096);
        assert_true(cluster_change_context_put(&cases[i].ch, &b));
        assert_string_equal(buf_cstr(&b), cases[i].want);
        got = change_of(f, cases[i].ch.type, 7, buf_cstr(&b));
        assert_int_equal(got.promote, cases[i].ch.promote);
        assert_int_equal(got.member.is_learner, cases[i].ch.member.is_learner);
        assert_int_equal(got.member.peer_urls.n, cases[i].ch.member.peer_urls.n);
        assert_string_equal(got.member.name, cases[i].ch.member.name);
        buf_done(&b);
    }
}

/* A context that is no member's JSON, or another member's, is refused. */
static void bad_contexts(void **state)
{
    static const char *const bad[] = {"",
                                      "null",
                                      "[]",
                                      "{\"id\":8}",
                                      "{\"id\":\"7\"}",
                                      "{",
                                      "{\"id\":7}}",
                                      "{\"id\":7,\"name\":\"a\\u0000b\"}",
                                      "{\"id\":7,\"name\":\"\xff\"}",
                                      "{\"id\":7,\"name\":\"\xc0\x9e\"}",
                                      "{\"id\":7,\"x\":[[[[[[[[[[1]]]]]]]]]]}"};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct raft_conf_change cc = {
            .type = RAFT_CONF_ADD_NODE, .node_id = 7, .context = bytes_str(bad[i])};
        struct cluster_change ch;

        if (cluster_change_get(&cc, &f->arena, &ch, NULL) != ERR_CORRUPT)
            fail_msg("context %zu was taken", i);
    }
}

static void voters(struct fixture *f, unsigned started, unsigned not_started)
{
    for (unsigned i = 0; i < started + not_started; i++) {
        char context[128];

        snprintf(context, sizeof context, "{\"id\":%u,\"peerURLs\":[\"http://h%u:1\"]%s}", i + 1, i,
                 i < started ? ",\"name\":\"m\"" : "");
        assert_int_equal(apply(f, RAFT_CONF_ADD_NODE, i + 1, context), API_OK);
    }
}

/* The strict check for every small cluster: enough of the voters that there will be must have
 * started. */
static void strict_check(void **state)
{
    (void) state;
    for (unsigned started = 0; started <= 5; started++) {
        for (unsigned fresh = 0; fresh <= 3; fresh++) {
            unsigned n = started + fresh;
            const struct cluster_view *v;
            struct fixture *f;
            void *s;

            fixture_set_up(&s);
            f = s;
            voters(f, started, fresh);
            v = cluster_view(f->c);
            assert_int_equal(cluster_ready_to_add_voter(v),
                             (n == 1 && started == 1) || started >= (n + 1) / 2 + 1);
            assert_int_equal(cluster_ready_to_promote(v), started + 1 >= (n + 1) / 2 + 1);
            if (started > 0) /* remove one that has started */
                assert_int_equal(cluster_ready_to_remove_voter(v, 1),
                                 started - 1 >= (n - 1) / 2 + 1);
            if (fresh > 0)
                assert_int_equal(cluster_ready_to_remove_voter(v, n), started >= (n - 1) / 2 + 1);
            fixture_tear_down(&s);
        }
    }
}

/* What the members bucket says as a ConfState. */
static void conf_state_of_members(void **state)
{
    struct fixture *f = *state;
    struct raft_conf_state cs;

    assert_int_equal(cluster_conf_state_of(cluster_view(f->c), &f->arena, &cs), 0);
    assert_int_equal(cs.voters.n, 3);
    assert_int_equal(cs.voters.v[2], 3);
    assert_int_equal(cs.learners.n, 1);
    assert_int_equal(cs.learners.v[0], 4);
    assert_int_equal(cs.voters_outgoing.n, 0);
}

static const char *many_urls(uint64_t id, size_t n, const char *last)
{
    struct buf b;
    size_t ignored;

    buf_init(&b, (size_t) 64 << 20);
    buf_printf(&b, "{\"id\":%" PRIu64 ",\"peerURLs\":[", id);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "\"http://%" PRIu64 "-%zu:1\",", id, n - i);
    buf_printf(&b, "\"%s\"]}", last);
    assert_true(buf_add_char(&b, '\0'));
    return (const char *) buf_steal(&b, &ignored);
}

/* etcd lets in as many URLs as fit into a request, and URLs as long as one: they are in logs, and
 * what is in a log has to be applied. */
static void many_and_long_urls(void **state)
{
    enum { MANY = 20000, LONG = 5 << 20 };
    struct fixture *f = *state;
    char *url = xmem_alloc(LONG + 1);
    const char *context;

    arena_done(&f->arena);
    arena_init(&f->arena, (size_t) 1 << 30);
    memset(url, 'a', LONG);
    memcpy(url, "http://", 7);
    memcpy(url + LONG - 2, ":1", 3);
    context = many_urls(5, MANY, url);
    assert_int_equal(apply(f, RAFT_CONF_ADD_NODE, 5, context), API_OK);
    mem_free((void *) (uintptr_t) context);
    context = many_urls(6, MANY, url);
    assert_int_equal(apply(f, RAFT_CONF_ADD_NODE, 6, context), API_PEER_URL_EXIST);
    mem_free((void *) (uintptr_t) context);
    context = many_urls(6, MANY, "http://other:1");
    assert_int_equal(apply(f, RAFT_CONF_ADD_NODE, 6, context), API_OK);
    mem_free((void *) (uintptr_t) context);
    fixture_restart(f);
    assert_int_equal(cluster_view_member(cluster_view(f->c), 5)->peer_urls.n, MANY + 1);
    assert_string_equal(cluster_view_member(cluster_view(f->c), 5)->peer_urls.v[MANY], url);
    mem_free(url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, fixture_tear_down)
        T(validation),         T(contexts),
        T(bad_contexts),       T(conf_state_of_members),
        T(many_and_long_urls), cmocka_unit_test(strict_check),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
