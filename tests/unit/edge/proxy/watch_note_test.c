/* Answers of watches, as they are shared. */
#include "lib/cm.h"

#include <rpc.pb-c.h>

#include "edge/proxy/proxy_int.h"
#include "edge/proxy/watch_note.h"

#define EVENTS_N 3

struct sample {
    Etcdserverpb__ResponseHeader header;
    Mvccpb__KeyValue kvs[EVENTS_N];
    Mvccpb__Event events[EVENTS_N], *list[EVENTS_N];
    Etcdserverpb__WatchResponse m;
    struct buf encoded;
};

/* Events of revisions 5, 5 and 9, at revision 10. */
static void sample_init(struct sample *s)
{
    static const int64_t revisions[EVENTS_N] = {5, 5, 9};

    etcdserverpb__response_header__init(&s->header);
    etcdserverpb__watch_response__init(&s->m);
    s->header.revision = 10;
    for (size_t i = 0; i < EVENTS_N; i++) {
        mvccpb__key_value__init(&s->kvs[i]);
        mvccpb__event__init(&s->events[i]);
        s->kvs[i].key = wire_binary(BYTES_LIT("k"));
        s->kvs[i].mod_revision = revisions[i];
        s->events[i].kv = &s->kvs[i];
        s->list[i] = &s->events[i];
    }
    s->m.header = &s->header;
    s->m.watch_id = 77;
    s->m.events = s->list;
    s->m.n_events = EVENTS_N;
    buf_init(&s->encoded, 1 << 16);
    assert_true(wire_encode(&s->m.base, &s->encoded));
}

static void read_sample(struct sample *s, struct watch_note *n)
{
    buf_clear(&s->encoded);
    assert_true(wire_encode(&s->m.base, &s->encoded));
    assert_true(watch_note_read(buf_bytes(&s->encoded), n));
}

/* What a receiver is sent: the head and the events from `from` on, decoded again. */
static Etcdserverpb__WatchResponse *received(const struct watch_note *n, size_t from,
                                             struct arena *a)
{
    Etcdserverpb__WatchResponse *m;
    struct buf b;

    buf_init(&b, 1 << 16);
    buf_add(&b, n->payload->data, n->head_bytes);
    buf_add(&b, n->payload->data + from, n->payload->bytes - from);
    assert_int_equal(WIRE_DECODE(etcdserverpb__watch_response, buf_bytes(&b), a, &m, NULL), 0);
    buf_done(&b);
    return m;
}

/* All but the id goes on; events that a receiver has had are left out, whole revisions at a time.
 */
static void test_events(void **state)
{
    static const struct {
        int64_t rev;
        size_t events_n;
    } cases[] = {{0, 3}, {5, 3}, {6, 1}, {9, 1}, {10, 0}};
    struct sample s;
    struct watch_note n;
    struct arena a;

    (void) state;
    arena_init(&a, 1 << 20);
    sample_init(&s);
    read_sample(&s, &n);
    assert_int_equal(n.watch_id, 77);
    assert_int_equal(n.revision, 10);
    assert_int_equal(n.last_rev, 9);
    assert_int_equal(n.events_n, EVENTS_N);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Etcdserverpb__WatchResponse *m = received(&n, watch_note_from(&n, cases[i].rev), &a);

        assert_int_equal(m->watch_id, 0);
        assert_int_equal(m->header->revision, 10);
        assert_int_equal(m->n_events, cases[i].events_n);
    }
    watch_note_done(&n);
    buf_done(&s.encoded);
    arena_done(&a);
}

/* Creations, cancellations and fragments are told apart. */
static void test_flags(void **state)
{
    struct sample s;
    struct watch_note n;

    (void) state;
    sample_init(&s);
    s.m.n_events = 0;
    s.m.created = true;
    s.m.watch_id = -1;
    read_sample(&s, &n);
    assert_true(n.created && !n.canceled && !n.fragment);
    assert_int_equal(n.watch_id, -1);
    watch_note_done(&n);
    s.m.created = false;
    s.m.canceled = s.m.fragment = true;
    s.m.cancel_reason = (char *) (uintptr_t) "gone";
    read_sample(&s, &n);
    assert_true(!n.created && n.canceled && n.fragment);
    assert_int_equal(n.payload->bytes, n.head_bytes);
    watch_note_done(&n);
    assert_false(watch_note_read(BYTES_LIT("\x0a\x05"), &n));
    buf_done(&s.encoded);
}

/* The value of a registration is read as it was written, whatever the names are; others are none.
 */
static void test_registration(void **state)
{
    struct arena a;
    struct buf b;
    char *addr, *name;

    (void) state;
    arena_init(&a, 1 << 20);
    buf_init(&b, 1 << 16);
    register__value("127.0.0.1:23790", "a \"quoted\" <host>", &b);
    assert_true(members__of_value(buf_bytes(&b), &a, &addr, &name));
    assert_string_equal(addr, "127.0.0.1:23790");
    assert_string_equal(name, "a \"quoted\" <host>");
    assert_false(members__of_value(BYTES_LIT("{\"Addr\":7}"), &a, &addr, &name));
    assert_false(members__of_value(BYTES_LIT("[[[[[[[[[[[[]]]]]]]]]]]]"), &a, &addr, &name));
    assert_false(members__of_value(BYTES_EMPTY, &a, &addr, &name));
    buf_done(&b);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_registration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
