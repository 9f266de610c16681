/* Snapshots between two members: from the log's end at the one to the state of the other, through
 * crashes, a full disk, and under the eyes of readers and watchers. */
#include "base/alloc.h"
#include "lib/cm.h"
#include "lib/node/pair.h"
#include "node/node_int.h"
#include "sys/digest.h"

#define PUTS 150 /* more than the log keeps behind what is applied */
#define VALUE_BYTES 200
#define CALLS_MIN 10 /* that a snapshot takes to be received and put in place */

static uint32_t hash_kv(struct pair *p, int i)
{
    struct call *c = member_ask(&p->side[i].m, NODE_REQ_HASH_KV, 0);
    uint32_t hash;

    assert_true(c->answered);
    assert_int_equal(c->r.result.answer, NODE_ANSWER_MSG);
    hash = ((Etcdserverpb__HashKVResponse *) c->r.result.msg)->hash;
    call_free(c);
    return hash;
}

static void assert_same(struct pair *p)
{
    assert_true(pair_agree(p, 20000));
    assert_int_equal(hash_kv(p, 0), hash_kv(p, 1));
}

static size_t files_with(struct pair *p, const char *part)
{
    struct err e = ERR_INIT;
    char **names;
    size_t n, found = 0;

    assert_int_equal(disk_list(simdisk_disk(p->side[1].disk), "/data/member/snap", &names, &n, &e),
                     0);
    for (size_t i = 0; i < n; i++)
        found += strstr(names[i], part) != NULL;
    disk_list_free(names, n);
    return found;
}

/* A member that joins a cluster whose log is gone is sent the data file, follows from there, and is
 * there after a restart; nothing of the way is left on its disk. */
static void a_new_member_is_sent_the_state(void **state)
{
    struct pair p;

    (void) state;
    pair_init(&p, 1, PUTS, VALUE_BYTES, NULL);
    pair_add(&p, PAIR_VOTER);
    assert_true(pair_start(&p));
    assert_same(&p);
    assert_int_equal(p.snapshots, 1);
    pair_put(&p, "after", 5, VALUE_BYTES);
    assert_same(&p);
    assert_int_equal(files_with(&p, ".snap.db"), 0);
    assert_int_equal(files_with(&p, "tmp"), 0);
    member_close(&p.side[1].m);
    p.side[1].up = false;
    assert_true(pair_start(&p));
    pair_put(&p, "again", 5, VALUE_BYTES);
    assert_same(&p);
    assert_int_equal(p.snapshots, 1);
    pair_done(&p);
}

/* A follower that was cut off until the log was gone is sent the state, twice: what it had applied
 * by itself is replaced, and each time it goes on with the log. */
static void a_follower_falls_behind_twice(void **state)
{
    struct pair p;

    (void) state;
    pair_init(&p, 2, 5, VALUE_BYTES, NULL);
    pair_add(&p, PAIR_LEARNER);
    assert_true(pair_start(&p));
    assert_same(&p);
    assert_int_equal(p.snapshots, 0); /* the log reached back to the beginning */
    for (unsigned i = 1; i <= 2; i++) {
        pair_run(&p, 31000, NULL); /* the log is kept for a while behind a snapshot */
        p.cut = true;
        pair_put(&p, i == 1 ? "x" : "y", PUTS, VALUE_BYTES);
        p.cut = false;
        assert_same(&p);
        assert_int_equal(p.snapshots, i);
        pair_put(&p, "after", 5, VALUE_BYTES);
        assert_same(&p);
        assert_int_equal(p.snapshots, i);
    }
    pair_done(&p);
}

/* While its disk hangs a follower accepts one snapshot and then another; when the first has been
 * put in place the second one's turn comes, too. */
static void one_snapshot_waits_for_another(void **state)
{
    struct pair p;

    (void) state;
    pair_init(&p, 6, 5, VALUE_BYTES, NULL);
    pair_add(&p, PAIR_LEARNER);
    assert_true(pair_start(&p));
    assert_same(&p);
    p.side[1].m.held[NODE_STORE] = true;
    for (unsigned i = 1; i <= 2; i++) {
        pair_run(&p, 31000, NULL); /* the log is kept for a while behind a snapshot */
        p.cut = true;
        pair_put(&p, i == 1 ? "x" : "y", PUTS, VALUE_BYTES);
        p.cut = false;
        pair_run(&p, 5000, NULL);
        assert_int_equal(p.snapshots, i);
    }
    p.side[1].m.held[NODE_STORE] = false;
    assert_same(&p);
    pair_put(&p, "after", 5, VALUE_BYTES);
    assert_same(&p);
    pair_done(&p);
}

/* Entries [lo, hi) of the second member's log, as they would be read for a slow follower. */
static void assert_readable(struct wal_reader *r, raft_index lo, raft_index hi)
{
    struct wal_entries got = {0};
    struct err e = ERR_INIT;

    assert_int_equal(wal_reader_entries(r, lo, hi, SIZE_MAX, &got, &e), 0);
    assert_int_equal(got.n, hi - lo);
    for (size_t i = 0; i < got.n; i++)
        assert_int_equal(got.v[i].index, lo + i);
    wal_entries_done(&got);
}

static raft_index applied(struct pair *p)
{
    struct node_status st;

    node_status(p->side[1].m.node, &st);
    return st.applied;
}

/* The log of a member has a gap where it was sent the state: what came before and what came behind
 * can be read back, by a reader of before, too. */
static void the_log_is_read_on_both_sides_of_a_snapshot(void **state)
{
    struct wal_reader *r, *late;
    struct err e = ERR_INIT;
    raft_index before, at;
    struct pair p;

    (void) state;
    pair_init(&p, 4, 5, VALUE_BYTES, NULL);
    pair_add(&p, PAIR_LEARNER);
    assert_true(pair_start(&p));
    assert_same(&p);
    pair_run(&p, 1000, NULL); /* the commit index is in the log, too */
    before = applied(&p);
    assert_int_equal(wal_reader_open(p.side[1].m.disk, "/data/member/wal", &r, &e), 0);
    assert_readable(r, 2, before);
    p.cut = true;
    pair_put(&p, "x", PUTS, VALUE_BYTES);
    p.cut = false;
    assert_same(&p);
    assert_int_equal(p.snapshots, 1);
    at = p.side[1].m.node->raft.compacted;
    assert_true(at > before + 50);
    pair_put(&p, "y", 20, VALUE_BYTES);
    pair_run(&p, 1000, NULL);
    assert_int_equal(wal_reader_open(p.side[1].m.disk, "/data/member/wal", &late, &e), 0);
    assert_readable(r, applied(&p) - 15, applied(&p) - 1);
    assert_readable(late, applied(&p) - 15, applied(&p) - 1);
    assert_readable(late, 2, before);
    wal_reader_close(r);
    wal_reader_close(late);
    pair_done(&p);
}

struct seen {
    struct watch_sink sink;
    struct watch_note notes[64];
    size_t n;
};

static void on_notes(struct watch_sink *s, struct watch_batch *first)
{
    struct seen *x = CONTAINER_OF(s, struct seen, sink);

    while (first != NULL) {
        struct watch_batch *next = first->next;

        for (uint32_t i = 0; i < first->n && x->n < 64; i++)
            x->notes[x->n++] = first->notes[i];
        watch_batch_free(first);
        first = next;
    }
}

static void submit_watch(struct pair *p, enum node_request_kind kind, struct watcher *w,
                         struct watch_stream *s)
{
    struct call *c = xmem_calloc(1, sizeof *c);

    c->r = (struct node_request){.kind = kind,
                                 .sink = &p->side[1].m.sink,
                                 .arena = arena_new(1 << 16),
                                 .watcher = w,
                                 .stream = s};
    node_submit(p->side[1].m.node, &c->r);
    pair_run(p, 1000, &c->answered);
    assert_true(c->answered);
    call_free(c);
}

/* A view that was pinned before the snapshot shows the old state until it is let go; a watcher of
 * before is told that it is behind, from the revision that it had not seen. */
static void readers_and_watchers_go_on(void **state)
{
    struct watch_options all = {.key = BYTES_LIT("\0"), .range_end = BYTES_LIT("\0")};
    struct watch_stream stream;
    struct watcher w;
    struct seen seen = {.n = 0};
    const struct mvcc_view *old;
    struct bytes kv;
    struct pair p;
    int64_t revision;

    (void) state;
    pair_init(&p, 3, PUTS, VALUE_BYTES, NULL);
    pair_add(&p, PAIR_LEARNER);
    p.side[1].stuck = true; /* the new member is empty, and up */
    assert_true(pair_start(&p));
    pair_run(&p, 500, NULL);
    watch_sink_init(&seen.sink, on_notes);
    watch_stream_init(&stream, &seen.sink);
    assert_true(watcher_init(&w, &stream, &all));
    submit_watch(&p, NODE_REQ_WATCH_JOIN, &w, NULL);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.notes[0].kind, WATCH_JOINED);
    old = mvcc_view_pin(p.side[1].m.reader);
    assert_int_equal(mvcc_view_revision(old), 1);
    p.side[1].stuck = false;
    assert_same(&p);
    assert_int_equal(p.snapshots, 1);
    revision = mvcc_revision(node_mvcc(p.side[1].m.node));
    assert_true(revision > PUTS);
    assert_true(seen.n >= 2);
    assert_int_equal(seen.notes[1].kind, WATCH_BEHIND);
    assert_int_equal(w.next_rev, 2);
    assert_int_equal(mvcc_view_revision(old), 1);
    assert_false(mvcc_view_get(old, BYTES_LIT("k0"), 1, &kv));
    mvcc_view_unpin(old);
    old = mvcc_view_pin(p.side[1].m.reader);
    assert_true(mvcc_view_get(old, BYTES_LIT("k0"), revision, &kv));
    mvcc_view_unpin(old);
    submit_watch(&p, NODE_REQ_WATCH_STREAM_CLOSE, NULL, &stream);
    pair_done(&p);
}

/* The nth change on the receiver's disk is its last before the power is cut.  False: there were not
 * so many on the way. */
static bool cut_after(uint64_t n, enum simdisk_crash_mode mode)
{
    struct pair p;
    bool reached;

    pair_init(&p, n, PUTS, VALUE_BYTES, NULL);
    pair_add(&p, PAIR_LEARNER);
    p.side[1].stuck = true;
    assert_true(pair_start(&p));
    pair_run(&p, 500, NULL);
    simdisk_cut_after(p.side[1].disk, n);
    p.side[1].stuck = false;
    pair_run(&p, 1500, NULL);
    reached = p.side[1].m.died[0] != '\0' || p.snapshots == 0;
    assert_int_equal(p.side[0].m.died[0], '\0');
    pair_crash(&p, mode);
    if (!pair_start(&p))
        fail_msg("cut after %d calls: it does not start: %s%s", (int) n, p.why, p.side[1].m.died);
    assert_same(&p);
    assert_int_equal(files_with(&p, "tmp"), 0);
    pair_done(&p);
    return reached;
}

/* The receiver's power is cut after every call to its disk, from the first piece until all is in
 * place, with all ways in which a disk can forget: each time it starts again and gets there. */
static void power_is_cut_at_every_point(void **state)
{
    uint64_t n = 1;

    (void) state;
    member_may_die();
    while (cut_after(n, SIM_CRASH_KEEP) && cut_after(n, SIM_CRASH_DROP) &&
           cut_after(n, SIM_CRASH_TEAR))
        n++;
    assert_true(n > CALLS_MIN);
    member_must_live();
}

static bool is_ready(struct pair *p)
{
    struct node_status st;

    node_status(p->side[1].m.node, &st);
    return st.ready;
}

/* A disk without room refuses the snapshot, leaves nothing of it behind, and takes it once there is
 * room.  What the member had published meanwhile comes back in the snapshot, and it is ready with
 * it.
 */
static void a_full_disk_takes_it_later(void **state)
{
    struct pair p;

    (void) state;
    pair_init(&p, 5, PUTS, VALUE_BYTES, NULL);
    pair_add(&p, PAIR_LEARNER);
    p.side[1].stuck = true;
    assert_true(pair_start(&p));
    pair_run(&p, 500, NULL);
    simdisk_set_full(p.side[1].disk, "snap/tmp");
    p.side[1].stuck = false;
    pair_run(&p, 3000, NULL);
    assert_true(p.failed > 0);
    assert_non_null(strstr(p.why, "no space"));
    assert_false(is_ready(&p));
    assert_int_equal(p.side[1].m.died[0], '\0');
    simdisk_set_full(p.side[1].disk, NULL);
    assert_same(&p);
    assert_true(is_ready(&p));
    assert_int_equal(p.snapshots, 1);
    assert_int_equal(files_with(&p, "tmp"), 0);
    pair_done(&p);
}

static struct call *ask_second(struct pair *p, enum node_request_kind kind)
{
    struct call *c = xmem_calloc(1, sizeof *c);

    c->r = (struct node_request){
        .kind = kind, .sink = &p->side[1].m.sink, .arena = arena_new((size_t) 1 << 20)};
    node_submit(p->side[1].m.node, &c->r);
    return c;
}

/* The SHA-256 that a reader would compute over the whole copy. */
static void read_copy(struct node_snapshot *s, uint8_t ret[SHA256_BYTES])
{
    struct digest *d = digest_sha256_new();
    const uint8_t *p;
    uint64_t bytes = 0;
    struct err e = ERR_INIT;
    size_t n = 1;

    while (n > 0) {
        assert_int_equal(node_snapshot_read(s, &p, 10000, &n, &e), 0);
        digest_add(d, p, n);
        bytes += n;
    }
    assert_int_equal(bytes, node_snapshot_bytes(s));
    digest_end(d, ret);
}

/* What maintenance has begun when the state is replaced: a copy for a client stays what it was, a
 * defragmentation is done with the new file, a compaction of the old state is forgotten. */
static void maintenance_meets_a_snapshot(void **state)
{
    uint8_t before[SHA256_BYTES], after[SHA256_BYTES];
    struct call *first, *second, *defragment;
    struct pair p;

    (void) state;
    pair_init(&p, 7, 20, VALUE_BYTES, NULL);
    pair_add(&p, PAIR_LEARNER);
    assert_true(pair_start(&p));
    assert_same(&p);
    first = ask_second(&p, NODE_REQ_SNAPSHOT);
    second = ask_second(&p, NODE_REQ_SNAPSHOT);
    pair_run(&p, 1000, &second->answered);
    read_copy(first->r.result.snapshot, before);
    p.cut = true;
    pair_put(&p, "x", PUTS, VALUE_BYTES);
    p.cut = false;
    while (p.snapshot.sending == NULL) /* it is under way */
        pair_run(&p, 1, NULL);
    defragment = ask_second(&p, NODE_REQ_DEFRAGMENT);
    assert_same(&p);
    assert_int_equal(p.snapshots, 1);
    assert_true(defragment->answered);
    assert_int_equal(defragment->r.result.code, GRPC_OK);
    read_copy(second->r.result.snapshot, after);
    assert_memory_equal(before, after, sizeof before);
    node_snapshot_free(first->r.result.snapshot);
    node_snapshot_free(second->r.result.snapshot);
    call_free(first);
    call_free(second);
    call_free(defragment);
    pair_put(&p, "y", 5, VALUE_BYTES);
    assert_same(&p);
    pair_done(&p);
}

/* The sender stops, or the receiver does, while a snapshot is on its way: neither waits for the
 * other, and the next try gets there. */
static void either_side_stops_meanwhile(void **state)
{
    struct pair p;

    (void) state;
    pair_init(&p, 8, PUTS, VALUE_BYTES, NULL);
    pair_add(&p, PAIR_LEARNER);
    p.side[1].stuck = true;
    assert_true(pair_start(&p));
    while (p.snapshot.sending == NULL)
        pair_run(&p, 1, NULL);
    pair_close(&p, 1);
    assert_int_equal(p.failed, 1);
    p.side[1].stuck = false;
    assert_true(pair_start(&p));
    assert_same(&p);
    assert_int_equal(p.snapshots, 1);
    pair_run(&p, 31000, NULL);
    p.cut = true;
    pair_put(&p, "x", PUTS, VALUE_BYTES);
    p.cut = false;
    p.side[1].stuck = true;
    while (p.snapshot.sending == NULL)
        pair_run(&p, 1, NULL);
    pair_close(&p, 0);
    assert_int_equal(p.failed, 2);
    pair_done(&p);
}

static struct node_message *message_at(raft_index index)
{
    struct node_message *x = xmem_calloc(1, sizeof *x);

    arena_init(&x->arena, 1 << 16);
    x->m.type = RAFT_MSG_SNAP;
    x->m.snapshot = arena_calloc(&x->arena, 1, sizeof *x->m.snapshot);
    x->m.snapshot->meta.index = index;
    return x;
}

static struct call *receive(struct pair *p, enum node_request_kind kind, struct node_receiving *v,
                            struct payload *piece, struct node_message *m)
{
    struct call *c = xmem_calloc(1, sizeof *c);

    c->r = (struct node_request){.kind = kind,
                                 .sink = &p->side[1].m.sink,
                                 .arena = arena_new(1 << 16),
                                 .receiving = v,
                                 .piece = piece,
                                 .message = m};
    node_submit(p->side[1].m.node, &c->r);
    pair_run(p, 1000, &c->answered);
    assert_true(c->answered);
    return c;
}

/* What is no data file, is cut short, or is of another index than its message says is refused with
 * words; so is nothing at all.  What was given up leaves nothing. */
static void what_does_not_fit_is_refused(void **state)
{
    struct payload *junk = payload_new(20000);
    struct node_message *m = message_at(7);
    struct node_receiving *v;
    struct call *c;
    struct pair p;

    (void) state;
    memset(junk->data, 0x5a, junk->bytes);
    pair_init(&p, 6, 3, VALUE_BYTES, NULL);
    pair_add(&p, PAIR_LEARNER);
    assert_true(pair_start(&p));
    for (int i = 0; i < 2; i++) {
        v = node_receiving_new(7);
        if (i == 0)
            call_free(receive(&p, NODE_REQ_RECEIVE_PIECE, v, junk, NULL));
        c = receive(&p, NODE_REQ_RECEIVE_END, v, NULL, m);
        assert_int_equal(c->r.result.code, GRPC_UNKNOWN);
        assert_true(strlen(c->r.result.text) > 0);
        call_free(c);
        c = receive(&p, NODE_REQ_RECEIVE_PIECE, v, junk, NULL);
        assert_int_equal(c->r.result.code, GRPC_UNKNOWN);
        call_free(c);
        node_receiving_free(v);
        assert_int_equal(files_with(&p, "tmp"), 0);
    }
    v = node_receiving_new(7);
    call_free(receive(&p, NODE_REQ_RECEIVE_PIECE, v, junk, NULL));
    assert_int_equal(files_with(&p, "tmp"), 1);
    assert_int_equal(node_receiving_bytes(v), junk->bytes);
    c = receive(&p, NODE_REQ_RECEIVE_ABORT, v, NULL, NULL);
    assert_int_equal(c->r.result.code, GRPC_OK);
    call_free(c);
    node_receiving_free(v);
    assert_int_equal(files_with(&p, "tmp"), 0);
    arena_done(&m->arena);
    mem_free(m);
    payload_unref(junk);
    assert_same(&p);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_member_is_sent_the_state),
        cmocka_unit_test(a_follower_falls_behind_twice),
        cmocka_unit_test(one_snapshot_waits_for_another),
        cmocka_unit_test(the_log_is_read_on_both_sides_of_a_snapshot),
        cmocka_unit_test(readers_and_watchers_go_on),
        cmocka_unit_test(power_is_cut_at_every_point),
        cmocka_unit_test(a_full_disk_takes_it_later),
        cmocka_unit_test(maintenance_meets_a_snapshot),
        cmocka_unit_test(either_side_stops_meanwhile),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
