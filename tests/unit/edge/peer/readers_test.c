#include "edge/peer/peer_int.h"
#include "lib/cm.h"

/* A peer whose messages nobody takes: it is on the test's stack, and `refs` keeps it there. */
static struct peer peer_of(struct peer_server *ps)
{
    return (struct peer){.ps = ps, .refs = 1};
}

static struct node_message *message(struct raft_message m)
{
    struct node_message *x;
    struct err e = ERR_INIT;
    struct buf b;

    buf_init(&b, SIZE_MAX);
    assert_non_null(buf_reserve(&b, raft_message_size(&m)));
    assert_int_equal(
        peer_message_new(bytes_of(b.p, (size_t) (raft_message_put(&m, b.p) - b.p)), &x, &e), 0);
    buf_done(&b);
    return x;
}

static struct node_message *heartbeat(void)
{
    return message((struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 1, .to = 2});
}

static struct node_message *append(void)
{
    struct raft_entry entry = {.term = 1, .index = 1, .data = BYTES_LIT("data")};

    return message((struct raft_message){
        .type = RAFT_MSG_APP, .from = 1, .to = 2, .entries = &entry, .entries_n = 1});
}

/* While more bytes than may wait are waiting, entries and long messages are lost,
 * heartbeats are not. */
static void test_heartbeats_behind_large_entries(void **state)
{
    struct peer_server ps = {0};
    struct peer p = peer_of(&ps);
    struct node_message *large = append(), *beat = heartbeat();

    (void) state;
    assert_true(peer__received(&p, large, PEER_QUEUE_BYTES_MAX + 1));
    assert_false(peer__received(&p, append(), 4));
    assert_false(peer__received(&p, heartbeat(), 5000));
    assert_true(peer__received(&p, beat, 10));
    assert_int_equal(p.received, 2);
    large->release(large);
    beat->release(beat);
    assert_int_equal(p.received_bytes, 0);
    assert_int_equal(p.refs, 1);
}

/* Too many messages are too many, whatever they bring. */
static void test_too_many_messages(void **state)
{
    struct peer_server ps = {0};
    struct peer p = peer_of(&ps);

    (void) state;
    p.received = PEER_QUEUE_MAX;
    assert_false(peer__received(&p, heartbeat(), 10));
    assert_int_equal(p.received, PEER_QUEUE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heartbeats_behind_large_entries),
        cmocka_unit_test(test_too_many_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
