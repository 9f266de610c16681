/* The text of what the core handles. */
#include "lib/cm.h"

#include "engine/raft/describe.h"

static void assert_text(struct buf *b, const char *expected)
{
    assert_string_equal(buf_cstr(b), expected);
    buf_clear(b);
}

/* Data is quoted as Go's %q does it. */
static void quoted(void **state)
{
    struct buf b;

    (void) state;
    buf_init(&b, 1000);
    raft_describe_quoted(&b, BYTES_LIT("plain \"text\" \\ \n\t\x01\xff"));
    assert_text(&b, "\"plain \\\"text\\\" \\\\ \\n\\t\\x01\\xff\"");
    raft_describe_quoted(&b, bytes_of("\0", 1));
    assert_text(&b, "\"\\x00\"");
    buf_done(&b);
}

/* Entries show their term, index, type and data, or the changes that they make. */
static void entries(void **state)
{
    struct raft_conf_change c = {.type = RAFT_CONF_REMOVE_NODE, .node_id = 10};
    uint8_t data[32];
    struct raft_entry e = {.term = 2, .index = 7, .data = BYTES_LIT("x")};
    struct buf b;

    (void) state;
    buf_init(&b, 1000);
    raft_describe_entry(&b, &e);
    assert_text(&b, "2/7 EntryNormal \"x\"");
    e.type = RAFT_ENTRY_CONF_CHANGE;
    e.data = bytes_of(data, (size_t) (raft_conf_change_put(&c, data) - data));
    raft_describe_entry(&b, &e);
    assert_text(&b, "2/7 EntryConfChange r10");
    e.data = BYTES_LIT("\xff");
    raft_describe_entry(&b, &e);
    assert_text(&b, "2/7 EntryConfChange (malformed)");
    e.type = RAFT_ENTRY_CONF_CHANGE_V2;
    raft_describe_entry(&b, &e);
    assert_text(&b, "2/7 EntryConfChangeV2 (malformed)");
    buf_done(&b);
}

/* A message shows its parts where they are not zero. */
static void messages(void **state)
{
    struct raft_message m = {.type = RAFT_MSG_APP_RESP,
                             .from = 0,
                             .to = 255,
                             .term = 3,
                             .reject = true,
                             .reject_hint = 4};
    struct buf b;

    (void) state;
    buf_init(&b, 1000);
    raft_describe_message(&b, &m);
    assert_text(&b, "None->ff MsgAppResp Term:3 Log:0/0 Rejected (Hint: 4)");
    m = (struct raft_message){.type = RAFT_MSG_STORAGE_APPLY,
                              .from = RAFT_LOCAL_APPEND_THREAD,
                              .to = RAFT_LOCAL_APPLY_THREAD,
                              .vote = 2,
                              .commit = 1};
    raft_describe_message(&b, &m);
    assert_text(&b, "AppendThread->ApplyThread MsgStorageApply Term:0 Log:0/0 Commit:1 Vote:2");
    buf_done(&b);
}

/* A change of members shows its transition, changes and context. */
static void conf_changes(void **state)
{
    struct raft_conf_change_single v[] = {
        {RAFT_CONF_ADD_NODE, 1}, {RAFT_CONF_ADD_LEARNER_NODE, 2}, {RAFT_CONF_UPDATE_NODE, 3}};
    struct raft_conf_change_v2 c = {RAFT_CONF_JOINT_EXPLICIT, v, 3, BYTES_LIT("ctx")};
    struct buf b;

    (void) state;
    buf_init(&b, 1000);
    raft_describe_conf_change(&b, &c);
    assert_text(
        &b,
        "transition:ConfChangeTransitionJointExplicit changes:{type:ConfChangeAddNode node_id:1} "
        "changes:{type:ConfChangeAddLearnerNode node_id:2} changes:{type:ConfChangeUpdateNode "
        "node_id:3} "
        "context:\"ctx\"");
    raft_describe_changes(&b, v, 3);
    assert_text(&b, "v1 l2 u3");
    buf_done(&b);
}

/* A peer's progress shows what is out of the ordinary. */
static void peers(void **state)
{
    struct raft_peer_status p = {.match = 1,
                                 .next = 2,
                                 .state = RAFT_SNAPSHOT,
                                 .pending_snapshot = 9,
                                 .learner = true,
                                 .paused = true,
                                 .inflight = 3,
                                 .inflight_full = true};
    struct buf b;

    (void) state;
    buf_init(&b, 1000);
    raft_describe_peer(&b, &p);
    assert_text(
        &b, "StateSnapshot match=1 next=2 learner paused pendingSnap=9 inactive inflight=3[full]");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quoted),       cmocka_unit_test(entries), cmocka_unit_test(messages),
        cmocka_unit_test(conf_changes), cmocka_unit_test(peers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
