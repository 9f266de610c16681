/* A leader and a member that the log no longer reaches: what the transport says of its snapshots.
 */
#include "lib/cm.h"
#include "lib/node/others.h"
#include "node/node_int.h"

#define PUTS (3 * NODE_LOG_COMPACT_STEP)
#define SENT_MAX 8

static struct node_sending *sent[SENT_MAX];
static size_t sent_n;

static void on_snapshot(void *ctx, struct node_sending *s)
{
    (void) ctx;
    assert_true(sent_n < SENT_MAX);
    sent[sent_n++] = s;
}

/* A leader whose log has let go of its beginning. */
static struct others *leader(uint64_t seed)
{
    struct others *o = test_malloc(sizeof *o);

    others_init(o, seed);
    o->transport.send_snapshot = on_snapshot;
    o->m.node->cfg.catchup_entries = 5;
    sent_n = 0;
    others_elect(o);
    for (int i = 0; i < PUTS; i++)
        assert_int_equal(member_put(&o->m, "a", "x"), i + 2);
    return o;
}

/* Another one leads for a moment, then this one again; and one of them needs a snapshot. */
static void lead_again(struct others *o)
{
    struct raft_message m = {.type = RAFT_MSG_HEARTBEAT};
    struct node_status st;

    node_status(o->m.node, &st);
    m.term = st.term + 1;
    others_say(o, 1, &m);
    others_settle(o);
    node_status(o->m.node, &st);
    assert_false(st.is_leader);
    o->empty[0] = true;
    others_elect(o);
    assert_true(member_run(&o->m, 2000, NULL));
}

/* A snapshot of an earlier term that ends, badly or well, says nothing of the one that is under way
 * now: no other is sent.  The end of that one does. */
static void an_earlier_term_says_nothing(void **state)
{
    struct others *o = leader(1);

    (void) state;
    lead_again(o);
    assert_int_equal(sent_n, 1);
    lead_again(o);
    assert_int_equal(sent_n, 2);
    assert_true(sent[1]->m.term > sent[0]->m.term);
    node_sent(o->m.node, sent[0], false);
    assert_true(member_run(&o->m, 2000, NULL));
    assert_int_equal(sent_n, 2);
    node_sent(o->m.node, sent[1], false);
    assert_true(member_run(&o->m, 2000, NULL));
    assert_int_equal(sent_n, 3);
    node_sent(o->m.node, sent[2], true);
    assert_true(member_run(&o->m, 2000, NULL));
    for (size_t i = 3; i < sent_n; i++)
        node_sent(o->m.node, sent[i], true);
    others_done(o);
    test_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_earlier_term_says_nothing)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
