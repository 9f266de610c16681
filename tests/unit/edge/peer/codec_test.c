/* The streams between members, byte by byte: the examples are captured from real members. */
#include "edge/peer/codec.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "lib/cm.h"

#define TAKEN_MAX 64

struct taken {
    struct node_message *v[TAKEN_MAX];
    size_t n;
};

static void on_message(void *arg, struct node_message *x)
{
    struct taken *t = arg;

    assert_true(t->n < TAKEN_MAX);
    t->v[t->n++] = x;
}

static void taken_free(struct taken *t)
{
    while (t->n > 0)
        peer_message_free(t->v[--t->n]);
}

static void open_decoder(struct peer_decoder *d, enum peer_stream kind, struct taken *t)
{
    *t = (struct taken){0};
    peer_decoder_init(d, kind, 0xb, 0xa);
    d->deliver = on_message;
    d->arg = t;
}

static size_t unhex(const char *s, uint8_t *ret)
{
    size_t n = 0;

    for (; s[0] != '\0'; s += 2) {
        char two[3] = {s[0], s[1], 0};

        ret[n++] = (uint8_t) strtoul(two, NULL, 16);
    }
    return n;
}

/* A link heartbeat of 3.7.1 and the long form of 3.5 are both read as such. */
static void link_heartbeats(void **state)
{
    static const char *const rows[] = {
        "00000000000000020808",
        "000000000000001e08081000180020002800300040004a0a12080a0228001000180050005800",
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct peer_decoder d;
        struct taken t;
        uint8_t b[128];
        struct err e = ERR_INIT;

        open_decoder(&d, PEER_STREAM_MESSAGE, &t);
        assert_int_equal(peer_decode(&d, bytes_of(b, unhex(rows[i], b)), &e), 0);
        assert_int_equal(t.n, 1);
        assert_true(peer_is_link_heartbeat(&t.v[0]->m));
        assert_null(t.v[0]->m.snapshot);
        taken_free(&t);
        peer_decoder_done(&d);
    }
    {
        uint8_t b[16];

        assert_true(
            bytes_eq(peer_link_heartbeat(PEER_STREAM_MESSAGE), bytes_of(b, unhex(rows[0], b))));
        assert_true(bytes_eq(peer_link_heartbeat(PEER_STREAM_MSGAPP), bytes_of("\0", 1)));
    }
}

/* A captured kind-1 item takes term and index from the stream and keeps the entry's own numbers. */
static void captured_entries_item(void **state)
{
    static const char item[] =
        "010000000000000001000000000000001908001003181022113a020804a2060a088bd697f9a6c0a89556"
        "000000000000000f";
    struct peer_decoder d;
    struct taken t;
    uint8_t b[128];
    size_t n = unhex(item, b);
    struct err e = ERR_INIT;

    (void) state;
    for (size_t cut = 0; cut <= n; cut++) { /* in two portions, cut anywhere */
        open_decoder(&d, PEER_STREAM_MSGAPP, &t);
        d.st = (struct peer_stream_state){.term = 3, .index = 15};
        assert_int_equal(peer_decode(&d, bytes_of(b, cut), &e), 0);
        assert_int_equal(t.n, cut == n ? 1 : 0);
        assert_int_equal(peer_decode(&d, bytes_of(b + cut, n - cut), &e), 0);
        assert_int_equal(t.n, 1);
        assert_int_equal(t.v[0]->m.type, RAFT_MSG_APP);
        assert_int_equal(t.v[0]->m.from, 0xb);
        assert_int_equal(t.v[0]->m.to, 0xa);
        assert_int_equal(t.v[0]->m.term, 3);
        assert_int_equal(t.v[0]->m.log_term, 3);
        assert_int_equal(t.v[0]->m.index, 15);
        assert_int_equal(t.v[0]->m.commit, 15);
        assert_int_equal(t.v[0]->m.entries_n, 1);
        assert_int_equal(t.v[0]->m.entries[0].index, 16);
        assert_int_equal(t.v[0]->m.entries[0].term, 3);
        assert_int_equal(t.v[0]->m.entries[0].data.n, 17);
        assert_ptr_equal(t.v[0]->m.entries[0].owner, t.v[0]->block);
        assert_int_equal(d.st.index, 16);
        taken_free(&t);
        peer_decoder_done(&d);
    }
}

static struct raft_message append(raft_term term, raft_index index, raft_term log_term,
                                  struct raft_entry *entries, size_t n)
{
    return (struct raft_message){.type = RAFT_MSG_APP,
                                 .from = 0xb,
                                 .to = 0xa,
                                 .term = term,
                                 .log_term = log_term,
                                 .index = index,
                                 .entries = entries,
                                 .entries_n = n,
                                 .commit = index};
}

/* The first append of a stream travels whole, what follows on it travels short, and what does not
 * follow travels whole again; the reader gets back what was sent. */
static void appends_travel_short(void **state)
{
    struct raft_entry two[] = {{.term = 5, .index = 8, .data = BYTES_LIT("x")},
                               {.term = 5, .index = 9, .data = BYTES_LIT("yy")}};
    struct raft_entry one[] = {{.term = 5, .index = 10, .data = BYTES_LIT("zzz")}};
    struct raft_entry next_term[] = {{.term = 6, .index = 11, .data = BYTES_EMPTY}};
    const struct {
        struct raft_message m;
        uint8_t kind;
    } rows[] = {
        {append(5, 7, 4, two, 2), 2},        {append(5, 9, 5, one, 1), 1},
        {append(5, 10, 5, NULL, 0), 1}, /* a commit index only */
        {append(6, 10, 5, next_term, 1), 2}, {append(6, 11, 6, NULL, 0), 1},
        {append(6, 3, 5, NULL, 0), 2}, /* a probe */
    };
    struct peer_stream_state st = {0};
    struct peer_decoder d;
    struct taken t;
    struct err e = ERR_INIT;

    (void) state;
    open_decoder(&d, PEER_STREAM_MSGAPP, &t);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct payload *b = peer_encode(PEER_STREAM_MSGAPP, &st, &rows[i].m);
        const struct raft_message *got;

        assert_non_null(b);
        assert_int_equal(b->data[0], rows[i].kind);
        assert_int_equal(peer_decode(&d, bytes_of(b->data, b->bytes), &e), 0);
        payload_unref(b);
        assert_int_equal(t.n, i + 1);
        got = &t.v[i]->m;
        assert_int_equal(got->term, rows[i].m.term);
        assert_int_equal(got->log_term, rows[i].m.log_term);
        assert_int_equal(got->index, rows[i].m.index);
        assert_int_equal(got->commit, rows[i].m.commit);
        assert_int_equal(got->entries_n, rows[i].m.entries_n);
        for (size_t k = 0; k < got->entries_n; k++) {
            assert_int_equal(got->entries[k].index, rows[i].m.entries[k].index);
            assert_int_equal(got->entries[k].term, rows[i].m.entries[k].term);
            assert_true(bytes_eq(got->entries[k].data, rows[i].m.entries[k].data));
        }
    }
    assert_int_equal(peer_decode(&d, peer_link_heartbeat(PEER_STREAM_MSGAPP), &e), 0);
    assert_int_equal(t.n, ARRAY_LEN(rows));
    taken_free(&t);
    peer_decoder_done(&d);
}

/* Entries outlive the message that brought them, by their reference to its block. */
static void entries_keep_their_block(void **state)
{
    struct raft_entry one[] = {{.term = 1, .index = 1, .data = BYTES_LIT("kept")}};
    struct raft_message m = append(1, 0, 0, one, 1);
    struct peer_stream_state st = {0};
    struct payload *b = peer_encode(PEER_STREAM_MESSAGE, &st, &m);
    struct peer_decoder d;
    struct taken t;
    struct raft_entry kept;
    struct err e = ERR_INIT;

    (void) state;
    open_decoder(&d, PEER_STREAM_MESSAGE, &t);
    assert_int_equal(peer_decode(&d, bytes_of(b->data, b->bytes), &e), 0);
    payload_unref(b);
    kept = t.v[0]->m.entries[0];
    payload_ref(kept.owner);
    taken_free(&t);
    assert_true(bytes_eq(kept.data, BYTES_LIT("kept")));
    payload_unref(kept.owner);
    peer_decoder_done(&d);
}

/* What no member sends ends the stream with words, and before memory is asked for. */
static void bad_streams_are_refused(void **state)
{
    static const struct {
        enum peer_stream kind;
        const char *hex;
        int code;
    } rows[] = {
        {PEER_STREAM_MSGAPP, "07", ERR_CORRUPT},
        {PEER_STREAM_MSGAPP, "01ffffffffffffffff", ERR_LIMIT},
        {PEER_STREAM_MSGAPP, "010000000000000001ffffffffffffffff", ERR_LIMIT},
        {PEER_STREAM_MSGAPP, "02ffffffffffffffff", ERR_LIMIT},
        {PEER_STREAM_MSGAPP, "0200000000000000020808", ERR_CORRUPT}, /* a heartbeat of raft */
        {PEER_STREAM_MSGAPP, "0100000000000000010000000000000001ff0000000000000000", ERR_CORRUPT},
        {PEER_STREAM_MESSAGE, "7fffffffffffffff", ERR_LIMIT},
        {PEER_STREAM_MESSAGE, "0000000000000002ffff", ERR_CORRUPT},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct peer_decoder d;
        struct taken t;
        uint8_t b[64];
        struct err e = ERR_INIT;

        open_decoder(&d, rows[i].kind, &t);
        assert_int_equal(peer_decode(&d, bytes_of(b, unhex(rows[i].hex, b)), &e), rows[i].code);
        assert_true(e.msg[0] != '\0');
        assert_int_equal(t.n, 0);
        peer_decoder_done(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_heartbeats),         cmocka_unit_test(captured_entries_item),
        cmocka_unit_test(appends_travel_short),    cmocka_unit_test(entries_keep_their_block),
        cmocka_unit_test(bad_streams_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
