/* Who waits, who is refused and what is counted among reads in slices: reads of which only the cost
 * is there, on a loop that is turned by hand. */
#define _GNU_SOURCE
#include "edge/server/long_read.h"

#include "unit/edge/server/slices_rig.h"

#define STEP_US 30
#define READS_MAX 8
#define NEVER_ENDS UINT_MAX
#define GROWING_STEPS 100

static struct fake {
    struct long_read slices;
    unsigned steps_left;
    unsigned steps;
    size_t grows_bytes; /* by each step */
    bool ended;
    int rc;
} reads[READS_MAX];

static struct fake *fake_of(struct long_read *r)
{
    return CONTAINER_OF(r, struct fake, slices);
}

static int step(struct long_read *r, uint64_t units, bool *ret_ready)
{
    struct fake *f = fake_of(r);

    assert_int_equal(units, MVCC_RANGE_STEP);
    if (f->steps < GROWING_STEPS && f->grows_bytes > 0)
        assert_non_null(arena_alloc(call_arena(r->call), f->grows_bytes));
    turns_work(STEP_US);
    f->steps++;
    *ret_ready = --f->steps_left == 0;
    return 0;
}

static void at_end(struct long_read *r, int rc)
{
    struct fake *f = fake_of(r);

    assert_false(f->ended);
    f->ended = true;
    f->rc = rc;
    call_finish(r->call, GRPC_OK, NULL);
}

/* A request is the number of a read, which the test has described. */
static void ask(struct call *c, struct bytes m)
{
    struct fake *f = &reads[m.p[0]];

    f->slices.io = &io;
    f->slices.call = c;
    f->slices.arena = call_arena(c);
    f->slices.step = step;
    f->slices.end = at_end;
    long_read_run(&f->slices);
}

static int begin(void **state)
{
    (void) state;
    memset(reads, 0, sizeof reads);
    slices_begin(ask);
    return 0;
}

static int end(void **state)
{
    (void) state;
    slices_end();
    assert_int_equal(io.long_reads.bytes, 0);
    assert_int_equal(io.long_reads.held_bytes, 0);
    return 0;
}

static struct fake *describe(size_t i, enum long_read_kind kind, uint64_t bytes, unsigned steps)
{
    reads[i].slices.kind = kind;
    reads[i].slices.bytes = bytes;
    reads[i].steps_left = steps;
    return &reads[i];
}

/* Those from..to are asked for on a connection, and have come. */
static void send_reads_on(int fd, uint8_t from, uint8_t to)
{
    struct buf b;

    buf_init(&b, SIZE_MAX);
    for (uint8_t i = from; i <= to; i++) {
        raw_request(&b, slices_stream(i), SLICES_PATH, 0);
        slices_add_request(&b, i);
    }
    assert_true(raw_send(fd, b.p, b.len));
    buf_done(&b);
    for (int i = 0; i < TURNS_MAX && reads[to].slices.call == NULL; i++)
        turn();
    assert_non_null(reads[to].slices.call);
}

static void send_reads(uint8_t from, uint8_t to)
{
    send_reads_on(client, from, to);
}

static void reset(uint8_t i)
{
    struct buf b;

    buf_init(&b, SIZE_MAX);
    slices_add_cancel(&b, i);
    assert_true(raw_send(client, b.p, b.len));
    buf_done(&b);
    for (int n = 0; n < TURNS_MAX && !reads[i].ended; n++)
        turn();
    assert_int_equal(reads[i].rc, ERR_CANCELED);
}

static void turn_until_ended(size_t i)
{
    for (int n = 0; n < TURNS_MAX && !reads[i].ended; n++)
        turn();
    assert_true(reads[i].ended);
}

/* Two of a kind are under way, a third one waits for one of them, and for no other kind. */
static void two_of_a_kind(void **state)
{
    (void) state;
    for (size_t i = 0; i < 3; i++)
        describe(i, LONG_READ_LIST, 1000, NEVER_ENDS);
    describe(3, LONG_READ_WALK, 0, 20);
    describe(4, LONG_READ_SHORT, 1000, 20);
    send_reads(0, 4);
    turn_until_ended(3);
    turn_until_ended(4);
    assert_true(reads[0].steps > 0);
    assert_true(reads[1].steps > 0);
    assert_int_equal(reads[2].steps, 0);
    reset(0);
    for (int i = 0; i < 20; i++)
        turn();
    assert_true(reads[2].steps > 0);
}

/* Who asks for many waits for them himself: a read of another connection has its turn behind the
 * first of those that wait, also when some of these go. */
static void connections_take_turns(void **state)
{
    int other = turns_connect();

    (void) state;
    for (size_t i = 0; i < READS_MAX; i++)
        describe(i, LONG_READ_SHORT, 0, i < 2 ? NEVER_ENDS : 20);
    send_reads(0, 6);
    send_reads_on(other, 7, 7);
    reset(2); /* the first of its line */
    reset(4); /* one in the middle */
    assert_int_equal(reads[7].steps, 0);
    reset(0);
    turn_until_ended(7);
    assert_true(reads[3].ended);
    assert_false(reads[5].ended);
    turn_until_ended(6);
    assert_true(reads[5].ended);
    close(other);
}

/* When clients leave their answers with us, who has waited meanwhile is refused as who comes then
 * would be: else each of any number of them would add its list. */
static void lists_on_their_way_leave_no_room(void **state)
{
    (void) state;
    describe(0, LONG_READ_LIST, 1000, 20);
    describe(1, LONG_READ_LIST, 1000, NEVER_ENDS);
    describe(2, LONG_READ_LIST, 1000, 20);
    describe(3, LONG_READ_WALK, 0, 20);
    send_reads(0, 2);
    for (int i = 0; i < 4; i++)
        turn();
    assert_true(reads[1].steps > 0);
    io.sorted_bytes = SERVER_SORTS_BYTES_MAX;
    turn_until_ended(0);
    assert_int_equal(reads[0].rc, 0); /* what had begun goes on */
    reset(1);
    turn_until_ended(2);
    assert_int_equal(reads[2].rc, ERR_NOMEM);
    assert_int_equal(reads[2].steps, 0);
    send_reads(3, 3);
    turn_until_ended(3);
    assert_int_equal(reads[3].rc, 0);
}

/* A list that turns out longer than was guessed counts as what it is: the next one waits. */
static void longer_than_was_guessed(void **state)
{
    (void) state;
    describe(0, LONG_READ_LIST, 1, NEVER_ENDS)->grows_bytes = 4096;
    describe(1, LONG_READ_LIST, SERVER_SORTS_BYTES_MAX - 16384, 20);
    send_reads(0, 0);
    for (int i = 0; i < 100; i++)
        turn();
    assert_true(io.long_reads.bytes >= GROWING_STEPS * 4096);
    send_reads(1, 1);
    for (int i = 0; i < 20; i++)
        turn();
    assert_int_equal(reads[1].steps, 0);
    reset(0);
    turn_until_ended(1);
    assert_int_equal(reads[1].rc, 0);
}

/* What waits holds what it is asked and what it has found: so much of it, and no more waits. */
static void those_that_wait_have_a_limit(void **state)
{
    (void) state;
    for (size_t i = 0; i < 4; i++)
        describe(i, LONG_READ_LIST, 1000, i < 2 ? NEVER_ENDS : 20);
    send_reads(0, 2);
    assert_true(io.long_reads.held_bytes > 0);
    io.long_reads.held_bytes += SERVER_SORTS_BYTES_MAX;
    send_reads(3, 3);
    assert_true(reads[3].ended);
    assert_int_equal(reads[3].rc, ERR_NOMEM);
    io.long_reads.held_bytes -= SERVER_SORTS_BYTES_MAX;
    reset(0);
    turn_until_ended(2);
}

/* Once the last one has ended nothing is left to be done by the loop, in the same turn: it may be
 * its last. */
static void the_last_one_leaves_no_work(void **state)
{
    (void) state;
    describe(0, LONG_READ_LIST, 1000, NEVER_ENDS);
    send_reads(0, 0);
    assert_false(list_empty(&turns.w.loop->works));
    reset(0);
    assert_true(list_empty(&turns.w.loop->works));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_of_a_kind, begin, end),
        cmocka_unit_test_setup_teardown(connections_take_turns, begin, end),
        cmocka_unit_test_setup_teardown(lists_on_their_way_leave_no_room, begin, end),
        cmocka_unit_test_setup_teardown(longer_than_was_guessed, begin, end),
        cmocka_unit_test_setup_teardown(those_that_wait_have_a_limit, begin, end),
        cmocka_unit_test_setup_teardown(the_last_one_leaves_no_work, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
