/* Looks at all keys of a name, on a store with many of them and a loop that is turned by hand: what
 * they find, that they go on in slices, and that whoever ends one ends all of it. */
#define _GNU_SOURCE
#include "edge/server/look.h"

#include "lib/simdisk.h"
#include "unit/edge/server/slices_rig.h"

#define KEYS 3000 /* more than are looked at at once, and fewer than a long read's */
#define FEW 50
#define LOOKS_MAX 8
#define CLOCK_NS 30000 /* that a step takes: some in a slice */
#define BACKWARDS(i) (KEYS - 1 - (i))

/* A request is the number of a look, which the test has described. */
static struct fake {
    struct look look;
    Etcdserverpb__RangeRequest q;
    struct call *call;
    bool looked;
    int rc;
    char key[32];
} looks[LOOKS_MAX];

static struct simdisk *sim;
static struct store *s;
static struct mvcc *kv;
static struct arena a;
static struct contest many, few;
static int64_t first_rev; /* of the first key of `many`; the others follow one by one */

/* ---- the store ---- */

static void put(const char *prefix, unsigned i)
{
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct mvcc_put_result res;
    bool too_large;
    char key[32];

    snprintf(key, sizeof key, "%s/%05u", prefix, i);
    r.key = wire_binary(bytes_str(key));
    assert_int_equal(mvcc_put(kv, &r, NULL, &res, &too_large), 0);
}

static int setup(void **state)
{
    struct store_config cfg = {.path = "db", .map_bytes = 1 << 27};
    struct err e = ERR_INIT;

    (void) state;
    sim = simdisk_new(11);
    cfg.disk = simdisk_disk(sim);
    arena_init(&a, SIZE_MAX);
    assert_int_equal(store_open(&cfg, &s, &e), 0);
    assert_int_equal(mvcc_open(s, &(struct mvcc_hooks){0}, &kv, &e), 0);
    assert_true(contest_of(bytes_str("many"), &a, &many));
    assert_true(contest_of(bytes_str("few"), &a, &few));
    for (unsigned i = 0; i < FEW; i++)
        put("few", i);
    first_rev = mvcc_revision(kv) + 1;
    for (unsigned i = 0; i < KEYS; i++) /* who came first is the last in the order of keys */
        put("many", BACKWARDS(i));
    mvcc_publish(kv);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    mvcc_close(kv);
    store_close(s);
    arena_done(&a);
    simdisk_free(sim);
    return 0;
}

/* ---- the server ---- */

static void looked(struct look *l, int rc, const struct contest_kv *found)
{
    struct fake *f = CONTAINER_OF(l, struct fake, look);

    assert_false(f->looked);
    assert_true((rc == 0) == (found != NULL));
    f->looked = true;
    f->rc = rc;
    if (found != NULL)
        snprintf(f->key, sizeof f->key, "%.*s", (int) found->key.n, (const char *) found->key.p);
    look_end(l);
    call_finish(f->call, GRPC_OK, NULL);
}

static void ask(struct call *c, struct bytes m)
{
    struct fake *f = &looks[m.p[0]];

    f->call = c;
    look_begin(&f->look, c, &f->q, looked);
}

static int begin(void **state)
{
    (void) state;
    memset(looks, 0, sizeof looks);
    slices_begin(ask);
    turns.step = CLOCK_NS;
    io.reader = mvcc_reader_new(kv);
    loop_set_user(io.loop, &io);
    return 0;
}

static int end(void **state)
{
    (void) state;
    slices_end();
    assert_true(mvcc_idle(kv));
    mvcc_reader_free(io.reader);
    return 0;
}

static void send_look(uint8_t i, const char *timeout)
{
    struct buf b, block;

    buf_init(&b, SIZE_MAX);
    buf_init(&block, 4096);
    raw_request_block(&block, SLICES_PATH);
    if (timeout != NULL)
        raw_literal(&block, "grpc-timeout", timeout);
    raw_frame(&b, RAW_HEADERS, RAW_END_HEADERS, slices_stream(i), block.p, block.len);
    slices_add_request(&b, i);
    assert_true(raw_send(client, b.p, b.len));
    buf_done(&block);
    buf_done(&b);
    for (int n = 0; n < TURNS_MAX && looks[i].call == NULL; n++)
        turn();
    assert_non_null(looks[i].call);
}

static struct fake *ask_for(uint8_t i, Etcdserverpb__RangeRequest q)
{
    looks[i].q = q;
    send_look(i, NULL);
    return &looks[i];
}

static struct fake *turn_until_looked(struct fake *f)
{
    for (int n = 0; n < TURNS_MAX && !f->looked; n++)
        turn();
    assert_true(f->looked);
    return f;
}

static void turn_until_begun(const struct fake *f)
{
    for (int n = 0; n < TURNS_MAX && !f->look.slices.begun; n++)
        turn();
    assert_true(f->look.slices.begun);
    assert_false(f->looked);
}

static const char *key_of(unsigned came)
{
    static char key[32];

    snprintf(key, sizeof key, "many/%05u", BACKWARDS(came));
    return key;
}

/* ---- what is found ---- */

/* Of few keys it is known before look_begin returns. */
static void few_at_once(void **state)
{
    struct fake *f = ask_for(0, contest_holder_range(&few));

    (void) state;
    assert_true(f->looked);
    assert_int_equal(f->rc, 0);
    assert_string_equal(f->key, "few/00000");
    f = ask_for(1, contest_before_range(&few, first_rev, 0));
    assert_true(f->looked);
    assert_string_equal(f->key, "few/00049");
    f = ask_for(2, contest_before_range(&few, 2, 0));
    assert_true(f->looked);
    assert_int_equal(f->rc, ERR_NOT_FOUND);
}

/* Of many it is found in slices, between which others have what they ask for: who holds, who is
 * right before another, and how that was before most of them came. */
static void many_in_slices(void **state)
{
    struct fake *holder, *before, *then, *none;

    (void) state;
    holder = ask_for(0, contest_holder_range(&many));
    before = ask_for(1, contest_before_range(&many, first_rev + 2000, 0));
    then = ask_for(2, contest_before_range(&many, first_rev + 2000, first_rev + 700));
    none = ask_for(3, contest_before_range(&many, first_rev, 0));
    turn_until_begun(holder);
    assert_true(ask_for(4, contest_holder_range(&few))->looked);
    assert_false(holder->looked);
    assert_string_equal(turn_until_looked(holder)->key, key_of(0));
    assert_string_equal(turn_until_looked(before)->key, key_of(1999));
    assert_string_equal(turn_until_looked(then)->key, key_of(700));
    assert_int_equal(turn_until_looked(none)->rc, ERR_NOT_FOUND);
}

/* A revision that is not there: at once. */
static void no_such_revision(void **state)
{
    struct fake *f = ask_for(0, contest_before_range(&many, first_rev, first_rev + 10 * KEYS));

    (void) state;
    assert_true(f->looked);
    assert_int_equal(f->rc, ERR_MVCC_FUTURE_REV);
}

/* ---- with others ---- */

/* Those that wait hold next to nothing, and those under way little of what there is. */
static void what_is_held(void **state)
{
    size_t most = 0;

    (void) state;
    for (uint8_t i = 0; i < LOOKS_MAX; i++)
        ask_for(i, contest_holder_range(&many));
    for (size_t i = SERVER_READS_UNDER_WAY_MAX; i < LOOKS_MAX; i++) {
        assert_false(looks[i].look.slices.begun);
        assert_true(arena_heap_bytes(&looks[i].look.arena) <= 2 * ARENA_CHUNK_BYTES);
    }
    for (int n = 0; n < TURNS_MAX && !looks[LOOKS_MAX - 1].looked; n++) {
        turn();
        most = MAX(most, arena_heap_bytes(&looks[LOOKS_MAX - 1].look.arena));
    }
    assert_true(looks[LOOKS_MAX - 1].looked);
    assert_true(most > 2 * ARENA_CHUNK_BYTES);
    assert_true(most <= 512 * 1024);
}

/* Where lists on their way use what there is for lists, or as many wait as may, a look goes on: a
 * lock is not refused for what others sort. */
static void is_not_refused(void **state)
{
    (void) state;
    io.sorted_bytes = SERVER_SORTS_BYTES_MAX;
    io.long_reads.held_bytes = SERVER_SORTS_BYTES_MAX;
    for (uint8_t i = 0; i < LOOKS_MAX; i++)
        ask_for(i, contest_holder_range(&many));
    for (uint8_t i = 0; i < LOOKS_MAX; i++)
        assert_int_equal(turn_until_looked(&looks[i])->rc, 0);
    assert_int_equal(io.long_reads.held_bytes, SERVER_SORTS_BYTES_MAX);
}

/* ---- ended in the middle ---- */

/* 0 and 1 are under way, 2 waits. */
static void begin_three(void)
{
    for (uint8_t i = 0; i < 3; i++)
        ask_for(i, contest_holder_range(&many));
    turn_until_begun(&looks[0]);
    turn_until_begun(&looks[1]);
    assert_false(looks[2].look.slices.begun);
}

static void canceled(void **state)
{
    struct buf b;

    (void) state;
    begin_three();
    buf_init(&b, SIZE_MAX);
    slices_add_cancel(&b, 0);
    slices_add_cancel(&b, 2);
    assert_true(raw_send(client, b.p, b.len));
    buf_done(&b);
    assert_int_equal(turn_until_looked(&looks[0])->rc, ERR_CANCELED);
    assert_int_equal(turn_until_looked(&looks[2])->rc, ERR_CANCELED);
    assert_int_equal(turn_until_looked(&looks[1])->rc, 0);
}

static void connection_lost(void **state)
{
    (void) state;
    begin_three();
    close(client);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(turn_until_looked(&looks[i])->rc, ERR_CANCELED);
    client = turns_connect();
}

/* One that waits, as long as it takes: the loop's timers go by the system's clock. */
static void deadline(void **state)
{
    (void) state;
    io.long_reads.under_way_n[LONG_READ_SHORT] = SERVER_READS_UNDER_WAY_MAX;
    looks[0].q = contest_holder_range(&many);
    send_look(0, "20m");
    while (!looks[0].looked) {
        usleep(1000);
        turn();
    }
    assert_int_equal(looks[0].rc, ERR_CANCELED);
}

static void given_up(void **state)
{
    (void) state;
    begin_three();
    look_give_up(&looks[0].look);
    look_give_up(&looks[2].look);
    assert_int_equal(turn_until_looked(&looks[0])->rc, ERR_CANCELED);
    assert_int_equal(turn_until_looked(&looks[2])->rc, ERR_CANCELED);
    assert_int_equal(turn_until_looked(&looks[1])->rc, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(few_at_once, begin, end),
        cmocka_unit_test_setup_teardown(many_in_slices, begin, end),
        cmocka_unit_test_setup_teardown(no_such_revision, begin, end),
        cmocka_unit_test_setup_teardown(what_is_held, begin, end),
        cmocka_unit_test_setup_teardown(is_not_refused, begin, end),
        cmocka_unit_test_setup_teardown(canceled, begin, end),
        cmocka_unit_test_setup_teardown(connection_lost, begin, end),
        cmocka_unit_test_setup_teardown(deadline, begin, end),
        cmocka_unit_test_setup_teardown(given_up, begin, end),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
