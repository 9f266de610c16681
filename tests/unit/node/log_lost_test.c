#include "node/node_int.h"
#include "unit/node/lone.h"

#define WORDS \
    "tocommit(9) is out of range [lastIndex(3)]. Was the raft log corrupted, truncated, or lost?"

static void on_release(struct node_message *x)
{
    (void) x;
}

/* A leader that counts on entries which are not here: the member stops with etcd's words, before it
 * says anything to anybody. */
static void a_member_without_its_log_stops(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = lone_new(disk, 1);
    struct node_message x = {.release = on_release};

    (void) state;
    member_may_die();
    lone_open_as_one_of_three(m);
    x.m = (struct raft_message){
        .type = RAFT_MSG_HEARTBEAT, .to = m->node->member_id, .from = 7, .term = 5, .commit = 3};
    node_receive(m->node, &x);
    assert_true(member_run(m, 200, NULL));
    x.m.commit = 9;
    node_receive(m->node, &x);
    assert_false(member_run(m, 200, NULL));
    assert_string_equal(m->died, WORDS);
    simdisk_crash(disk, SIM_CRASH_DROP);
    member_abandon(m);
    test_free(m);
    simdisk_free(disk);
    member_must_live();
}

/* Writes a hard state whose commit index no entry has. */
static void say_too_much(struct simdisk *disk)
{
    struct wal_options o = {.disk = simdisk_disk(disk), .dir = "/data/member/wal"};
    struct wal_contents c = {0};
    struct raft_hard_state hard;
    struct wal_save save = {.hard_state = &hard};
    struct wal *w;
    struct err e = ERR_INIT;

    assert_int_equal(wal_open(&o, 0, 0, &c, &w, &e), 0);
    assert_int_equal(c.entries.n, 4);
    hard = c.hard_state;
    hard.commit = 100;
    assert_int_equal(wal_append_batch(w, &save, 1, &e), 0);
    assert_int_equal(wal_sync(w, &e), 0);
    wal_close(w);
    wal_contents_done(&c);
}

/* A log that ends before what it says is committed is refused with words, also where a new cluster
 * shall be made of it. */
static void a_log_without_its_end_is_refused(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = lone_fresh(disk, 1);

    (void) state;
    member_close(m);
    say_too_much(disk);
    for (int force = 0; force < 2; force++) {
        struct err e = ERR_INIT;

        m->cfg.force_new_cluster = force != 0;
        assert_int_equal(member_open(m, &e), ERR_CORRUPT);
        assert_non_null(strstr(e.msg, "the write-ahead log ends at index 4, but says that entries "
                                      "up to 100 are committed"));
    }
    test_free(m);
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_without_its_log_stops),
        cmocka_unit_test(a_log_without_its_end_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
