#include "lib/cm.h"
#include "lib/node/member.h"
#include "lib/simdisk.h"
#include "node/node_int.h"

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
    struct member *m = test_malloc(sizeof *m);
    struct node_message x = {.release = on_release};
    struct err err = ERR_INIT;

    (void) state;
    member_init(m, simdisk_disk(disk), 1);
    m->cfg.initial_names = (const char *const[]){m->cfg.name, "other", "third"};
    m->cfg.initial_urls = (const char *const[]){m->cfg.initial_urls[0], "http://other:1",
                                                "http://third:1"};
    m->cfg.initial_n = 3;
    assert_int_equal(member_open(m, &err), 0);
    assert_true(member_run(m, 200, NULL));
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
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_without_its_log_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
