/* A login's entry goes with somebody else's write, if there is one soon. */
#include "node/node_int.h"
#include "raft_internal.pb-c.h"
#include "unit/node/lone.h"

static struct call *login(struct member *m)
{
    static char name[] = "u", token[] = "abcdefghijklmnop";
    Etcdserverpb__InternalAuthenticateRequest q = ETCDSERVERPB__INTERNAL_AUTHENTICATE_REQUEST__INIT;

    q.name = name;
    q.simple_token = token;
    return member_submit(m, NODE_OP_AUTHENTICATE, &q.base);
}

static struct call *put(struct member *m)
{
    static uint8_t key[] = "k";
    Etcdserverpb__PutRequest q = ETCDSERVERPB__PUT_REQUEST__INIT;

    q.key = (ProtobufCBinaryData){1, key};
    return member_submit(m, NODE_OP_PUT, &q.base);
}

/* All that can happen without time. */
static void turn(struct member *m)
{
    while (member_turn(m)) {
    }
}

static struct simdisk *disk;

static struct member *fresh(void)
{
    disk = simdisk_new(1);
    return lone_fresh(disk, 1);
}

static raft_index index_of(struct call *c)
{
    raft_index i = c->r.index;

    assert_true(c->answered);
    call_free(c);
    return i;
}

static struct call *login_behind_a_put(struct member *m)
{
    struct call *first = put(m), *c;

    turn(m);
    (void) index_of(first);
    c = login(m);
    turn(m);
    return c;
}

static void where_nobody_writes_it_goes_at_once(void **state)
{
    struct member *m = fresh();
    struct call *c;

    (void) state;
    assert_true(member_run(m, 100, NULL));
    c = login(m);
    turn(m);
    assert_true(index_of(c) > 0);
    lone_end(m, disk);
}

static void it_goes_with_the_next_write(void **state)
{
    struct member *m = fresh();
    struct call *first = put(m), *one, *two, *next;
    uint64_t syncs;

    (void) state;
    turn(m);
    (void) index_of(first);
    one = login(m);
    two = login(m);
    turn(m);
    assert_false(one->answered);
    next = put(m);
    syncs = simdisk_calls(disk, SIM_SYNC);
    turn(m);
    assert_int_equal(simdisk_calls(disk, SIM_SYNC), syncs + 1);
    assert_int_equal(one->r.index, next->r.index + 1);
    assert_int_equal(two->r.index, next->r.index + 2);
    (void) index_of(one);
    (void) index_of(two);
    (void) index_of(next);
    lone_end(m, disk);
}

static void it_does_not_wait_long(void **state)
{
    struct member *m = fresh();
    struct call *c = login_behind_a_put(m);

    (void) state;
    assert_false(c->answered);
    assert_true(member_run(m, 2 * NODE_RIDE_NS / 1000000, NULL));
    assert_true(index_of(c) > 0);
    lone_end(m, disk);
}

static void a_stop_does_not_forget_it(void **state)
{
    struct member *m = fresh();
    struct call *c = login_behind_a_put(m);

    (void) state;
    member_close(m);
    assert_true(c->answered);
    call_free(c);
    test_free(m);
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_nobody_writes_it_goes_at_once),
        cmocka_unit_test(it_goes_with_the_next_write),
        cmocka_unit_test(it_does_not_wait_long),
        cmocka_unit_test(a_stop_does_not_forget_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
