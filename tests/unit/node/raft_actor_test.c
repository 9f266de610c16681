#include "lib/cm.h"
#include "lib/node/others.h"
#include "node/node_int.h"

/* The member follows id[0] in term 9, and all three entries of the bootstrap are committed. */
static struct others *following(uint64_t seed)
{
    struct others *o = test_malloc(sizeof *o);
    struct raft_message m = {
        .type = RAFT_MSG_APP, .term = 9, .index = 3, .log_term = 1, .commit = 3};

    others_init(o, seed);
    others_say(o, 0, &m);
    assert_true(member_run(&o->m, 50, NULL));
    o->kept_n = 0;
    return o;
}

static void end(struct others *o)
{
    others_done(o);
    test_free(o);
}

static void append(struct others *o, raft_index index, size_t entries, raft_index commit)
{
    struct raft_entry e = {.type = RAFT_ENTRY_NORMAL, .term = 9, .index = index + 1};
    struct raft_message m = {.type = RAFT_MSG_APP,
                             .term = 9,
                             .index = index,
                             .log_term = index <= 3 ? 1 : 9,
                             .commit = commit,
                             .entries = &e,
                             .entries_n = entries};

    others_say(o, 0, &m);
    others_settle(o);
}

/* A follower acknowledges an entry when its log has it, and a commit index that comes meanwhile
 * not before; afterwards such a one is answered at once and writes nothing. */
static void acknowledgements_wait_for_the_log_and_for_nothing_else(void **state)
{
    struct others *o = following(1);
    struct raft_message ack = {0};

    (void) state;
    o->m.held[NODE_WAL] = true;
    append(o, 3, 1, 3);
    append(o, 4, 0, 4);
    append(o, 4, 0, 4);
    assert_int_equal(others_got(o, RAFT_MSG_APP_RESP, NULL), 0);
    o->m.held[NODE_WAL] = false;
    others_settle(o);
    assert_true(others_got(o, RAFT_MSG_APP_RESP, &ack) > 0);
    assert_int_equal(ack.index, 4);
    o->m.held[NODE_WAL] = true;
    o->kept_n = 0;
    append(o, 4, 0, 4);
    assert_int_equal(others_got(o, RAFT_MSG_APP_RESP, &ack), 1);
    assert_int_equal(ack.index, 4);
    assert_false(o->m.woken[NODE_WAL]);
    o->m.held[NODE_WAL] = false;
    end(o);
}

/* The member stops with promises that wait for a write: nothing is left behind. */
static void promises_that_wait_end_with_the_member(void **state)
{
    struct others *o = following(2);

    (void) state;
    o->m.held[NODE_WAL] = true;
    append(o, 3, 1, 3);
    append(o, 4, 0, 4);
    assert_int_equal(others_got(o, RAFT_MSG_APP_RESP, NULL), 0);
    end(o);
}

/* A leader that learns of a commit and proposes in the same turn sends each follower one append. */
static void a_commit_index_travels_with_the_entries(void **state)
{
    struct others *o = test_malloc(sizeof *o);
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct raft_message ack = {.type = RAFT_MSG_APP_RESP};
    struct node_status st;
    struct call *first, *second;
    struct raft_message last = {0};

    (void) state;
    others_init(o, 3);
    others_elect(o);
    o->silent = true;
    put.key = wire_binary(bytes_str("k"));
    first = member_submit(&o->m, 4, &put.base);
    others_settle(o);
    node_status(o->m.node, &st);
    o->kept_n = 0;
    second = member_submit(&o->m, 4, &put.base);
    ack.term = st.term;
    ack.index = st.commit + 1;
    others_say(o, 0, &ack);
    others_settle(o);
    assert_true(first->answered);
    assert_false(second->answered);
    assert_int_equal(others_got(o, RAFT_MSG_APP, &last), 2);
    assert_int_equal(last.entries_n, 1);
    assert_int_equal(last.commit, ack.index);
    o->silent = false;
    ack.index++;
    others_say(o, 0, &ack);
    others_settle(o);
    assert_true(second->answered);
    call_free(first);
    call_free(second);
    end(o);
}

static struct call *remove_member(struct others *o, struct cluster_change *change)
{
    struct call *c = test_calloc(1, sizeof *c);

    c->r = (struct node_request){.kind = NODE_REQ_MEMBER_CHANGE,
                                 .sink = &o->m.sink,
                                 .arena = arena_new((size_t) 1 << 20),
                                 .change = change};
    node_submit(o->m.node, &c->r);
    return c;
}

/* A leader removes itself while another entry of its own is on its way to its disk: when that is
 * there it is no member any more, and nothing is wrong. */
static void a_leader_removes_itself_while_its_log_is_slow(void **state)
{
    struct others *o = test_malloc(sizeof *o);
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct cluster_change change = {.type = RAFT_CONF_REMOVE_NODE};
    struct raft_message ack = {.type = RAFT_MSG_APP_RESP};
    struct call *gone, *late;
    struct node_status st;

    (void) state;
    others_init(o, 4);
    others_elect(o);
    node_status(o->m.node, &st);
    put.key = wire_binary(bytes_str("k"));
    change.member.id = o->m.node->member_id;
    o->silent = true;
    gone = remove_member(o, &change);
    others_settle(o);
    o->m.held[NODE_WAL] = true;
    late = member_submit(&o->m, 4, &put.base);
    others_settle(o);
    ack.term = st.term;
    ack.index = st.commit + 1; /* the removal; a majority has it now */
    others_say(o, 0, &ack);
    others_settle(o);
    assert_true(gone->answered);
    assert_int_equal(gone->r.result.err, API_OK);
    assert_false(late->answered);
    o->m.held[NODE_WAL] = false;
    others_settle(o);
    assert_string_equal(o->m.died, "");
    others_done(o);
    assert_true(late->answered);
    call_free(late);
    arena_free(gone->r.arena);
    test_free(gone);
    test_free(o);
}

/* A follower that stood still for two election timeouts, as a machine does that is stolen, has
 * heard of its leader a moment ago as far as it can tell: it asks for no election and agrees to
 * none. */
static void time_that_was_not_lived_is_no_silence_of_the_leader(void **state)
{
    struct others *o = following(5);
    struct raft_message ask = {.type = RAFT_MSG_PRE_VOTE, .term = 10, .index = 3, .log_term = 1};

    (void) state;
    o->m.now += INT64_C(2000000000);
    others_settle(o);
    others_say(o, 1, &ask);
    others_settle(o);
    assert_true(member_run(&o->m, 300, NULL));
    assert_int_equal(others_got(o, RAFT_MSG_PRE_VOTE_RESP, NULL), 0);
    assert_int_equal(others_got(o, RAFT_MSG_PRE_VOTE, NULL), 0);
    assert_true(member_run(&o->m, 3000, NULL)); /* a silence that it did live through is one */
    assert_true(others_got(o, RAFT_MSG_PRE_VOTE, NULL) > 0);
    end(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledgements_wait_for_the_log_and_for_nothing_else),
        cmocka_unit_test(promises_that_wait_end_with_the_member),
        cmocka_unit_test(a_commit_index_travels_with_the_entries),
        cmocka_unit_test(a_leader_removes_itself_while_its_log_is_slow),
        cmocka_unit_test(time_that_was_not_lived_is_no_silence_of_the_leader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
