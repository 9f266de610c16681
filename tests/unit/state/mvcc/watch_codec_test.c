#include "state/mvcc/watch_codec.h"

#include "base/buf.h"
#include "lib/cm.h"
#include "rpc.pb-c.h"
#include "wire/wire.h"

static ProtobufCBinaryData binary(const char *s)
{
    return (ProtobufCBinaryData){strlen(s), (uint8_t *) (uintptr_t) s};
}

static struct bytes packed(const ProtobufCMessage *m, struct buf *out)
{
    assert_true(wire_encode(m, out));
    return buf_bytes(out);
}

/* A response put together from its head and from events equals what the generated encoder makes. */
static void same_bytes_as_the_generated_encoder(void **state)
{
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__WatchResponse m = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT, prev = MVCCPB__KEY_VALUE__INIT,
                     gone = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__Event put = MVCCPB__EVENT__INIT, del = MVCCPB__EVENT__INIT, *events[] = {&put, &del};
    struct buf want, kv_bytes, prev_bytes;
    uint8_t got[512], gone_bytes[64], *end = got;
    const struct watch_response r = {.cluster_id = UINT64_MAX,
                                     .member_id = 7,
                                     .revision = 300,
                                     .raft_term = 2,
                                     .watch_id = -1,
                                     .canceled = true,
                                     .created = true,
                                     .compact_revision = 9,
                                     .fragment = true,
                                     .cancel_reason = bytes_str("why")};
    struct watch_event ev;
    struct bytes rest, one;
    size_t n;

    (void) state;
    buf_init(&want, 1 << 16);
    buf_init(&kv_bytes, 1 << 16);
    buf_init(&prev_bytes, 1 << 16);
    kv.key = gone.key = prev.key = binary("key");
    kv.mod_revision = gone.mod_revision = 300;
    kv.create_revision = prev.create_revision = prev.mod_revision = 200;
    kv.value = binary("value");
    put.kv = &kv;
    put.prev_kv = &prev;
    del.type = MVCCPB__EVENT__EVENT_TYPE__DELETE;
    del.kv = &gone;
    header.cluster_id = r.cluster_id;
    header.member_id = r.member_id;
    header.revision = r.revision;
    header.raft_term = r.raft_term;
    m.header = &header;
    m.watch_id = r.watch_id;
    m.created = m.canceled = m.fragment = true;
    m.compact_revision = r.compact_revision;
    m.cancel_reason = (char *) (uintptr_t) "why";
    m.n_events = 2;
    m.events = events;

    end = watch_response_put(end, &r);
    assert_int_equal(end - got, watch_response_size(&r));
    ev = (struct watch_event){.kv = packed(&kv.base, &kv_bytes),
                              .prev_kv = packed(&prev.base, &prev_bytes)};
    end = watch_event_put(end, &ev);
    n = watch_deleted_kv_size(bytes_str("key"), 300);
    assert_int_equal(watch_deleted_kv_put(gone_bytes, bytes_str("key"), 300) - gone_bytes, n);
    rest = bytes_of(end, watch_event_size(&ev));
    ev = (struct watch_event){.is_delete = true, .kv = bytes_of(gone_bytes, n)};
    end = watch_event_put(end, &ev);
    packed(&m.base, &want);
    assert_int_equal(end - got, want.len);
    assert_memory_equal(got, want.p, want.len);

    /* The events come apart again. */
    rest = bytes_of(got + watch_response_size(&r), want.len - watch_response_size(&r));
    assert_true(watch_events_next(&rest, &one));
    assert_true(watch_events_next(&rest, &one));
    assert_int_equal(one.n, watch_event_size(&ev));
    assert_ptr_equal(one.p + one.n, end);
    assert_false(watch_events_next(&rest, &one));
    buf_done(&want);
    buf_done(&kv_bytes);
    buf_done(&prev_bytes);
}

/* Zero fields are left out, but the header is there even when it is empty. */
static void zeros_are_left_out(void **state)
{
    const struct watch_response r = {0};
    uint8_t got[16];

    (void) state;
    assert_int_equal(watch_response_size(&r), 2);
    assert_ptr_equal(watch_response_put(got, &r), got + 2);
    assert_memory_equal(got, "\x0a\x00", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes_as_the_generated_encoder),
        cmocka_unit_test(zeros_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
