/* Spans and batches as bytes: read back with the protobuf reader, field by field. */
#include "edge/server/otel_export.h"

#include "base/alloc.h"
#include "lib/cm.h"
#include "wire/pb.h"
#include "wire/wire.h"

static const struct otel_context context = {{1, 2, 3}, {4, 5, 6}, OTEL_SAMPLED};

static struct otel_span *open_span(enum otel_scope scope, const char *name)
{
    struct otel_span_start o = {.scope = scope,
                                .kind = OTEL_KIND_SERVER,
                                .name = name,
                                .context = context,
                                .unix_ns = 1000};
    struct otel_span *s = otel_span_new(&o);

    assert_non_null(s);
    return s;
}

/* The index-th field `number` of a message; false: there is none. */
static bool find(struct bytes message, uint32_t number, size_t index, struct pb_field *ret)
{
    struct pb_reader r = pb_reader_of(message);

    while (pb_next(&r, ret)) {
        if (ret->number == number && index-- == 0)
            return true;
    }
    assert_false(r.bad);
    return false;
}

static struct bytes message_at(struct bytes message, uint32_t number, size_t index)
{
    struct pb_field f;

    assert_true(find(message, number, index, &f));
    assert_int_equal(f.type, PB_LEN);
    return f.bytes;
}

static uint64_t number_at(struct bytes message, uint32_t number)
{
    struct pb_field f;

    return find(message, number, 0, &f) ? f.value : 0;
}

static void assert_text(struct bytes got, const char *want)
{
    if (!bytes_eq(got, bytes_str(want)))
        fail_msg("%.*s instead of %s", (int) got.n, (const char *) got.p, want);
}

/* The value of the index-th attribute, which has this key. */
static struct pb_field attribute(struct bytes span, size_t index, const char *key)
{
    struct bytes pair = message_at(span, 9, index), value = message_at(pair, 2, 0);
    struct pb_reader r = pb_reader_of(value);
    struct pb_field f;

    assert_text(message_at(pair, 1, 0), key);
    assert_true(pb_next(&r, &f));
    return f;
}

/* The head of a span: ids, parent, state, name, kind, times and flags where the protocol has them.
 */
static void span_head(void **state)
{
    static const uint8_t parent[OTEL_SPAN_ID_BYTES] = {9};
    struct otel_span_start o = {.kind = OTEL_KIND_INTERNAL,
                                .name = "put",
                                .context = context,
                                .parent = parent,
                                .remote = true,
                                .state = BYTES_LIT("a=1"),
                                .unix_ns = 1000};
    struct otel_span *s = otel_span_new(&o);
    struct bytes b;

    (void) state;
    otel_span_end(s, OTEL_STATUS_ERROR, "why", 3000);
    assert_true(otel_span_ok(s));
    b = buf_bytes(&s->pb);
    assert_true(bytes_eq(message_at(b, 1, 0), bytes_of(context.trace_id, OTEL_TRACE_ID_BYTES)));
    assert_true(bytes_eq(message_at(b, 2, 0), bytes_of(context.span_id, OTEL_SPAN_ID_BYTES)));
    assert_text(message_at(b, 3, 0), "a=1");
    assert_true(bytes_eq(message_at(b, 4, 0), bytes_of(parent, sizeof parent)));
    assert_text(message_at(b, 5, 0), "put");
    assert_int_equal(number_at(b, 6), OTEL_KIND_INTERNAL);
    assert_int_equal(number_at(b, 7), 1000);
    assert_int_equal(number_at(b, 8), 3000);
    assert_int_equal(number_at(b, 16), 0x301);
    assert_text(message_at(message_at(b, 15, 0), 2, 0), "why");
    assert_int_equal(number_at(message_at(b, 15, 0), 3), OTEL_STATUS_ERROR);
    otel_span_free(s);
}

/* Attributes say of which kind they are also when they are empty, zero or false. */
static void attributes_of_each_kind(void **state)
{
    struct otel_span *s = open_span(OTEL_SCOPE_RPC, "x");
    struct pb_field f;

    (void) state;
    otel_span_text(s, "text", BYTES_LIT("value"));
    otel_span_text(s, "empty", BYTES_EMPTY);
    otel_span_i64(s, "zero", 0);
    otel_span_i64(s, "minus", -1);
    otel_span_bool(s, "no", false);
    f = attribute(buf_bytes(&s->pb), 0, "text");
    assert_int_equal(f.number, 1);
    assert_text(f.bytes, "value");
    f = attribute(buf_bytes(&s->pb), 1, "empty");
    assert_int_equal(f.number, 1);
    assert_int_equal(f.bytes.n, 0);
    f = attribute(buf_bytes(&s->pb), 2, "zero");
    assert_int_equal(f.number, 3);
    assert_int_equal(f.value, 0);
    f = attribute(buf_bytes(&s->pb), 3, "minus");
    assert_true(f.value == UINT64_MAX);
    f = attribute(buf_bytes(&s->pb), 4, "no");
    assert_int_equal(f.number, 2);
    assert_int_equal(f.value, 0);
    otel_span_free(s);
}

/* Keys are any bytes, text is UTF-8: each wrong byte is replaced, the rest stays. */
static void wrong_text_is_mended(void **state)
{
    struct otel_span *s = open_span(OTEL_SCOPE_RPC, "x");

    (void) state;
    otel_span_text(s, "key",
                   bytes_of("a\xff\xc3\xa4\xc3"
                            "b\0c",
                            8));
    assert_true(bytes_eq(attribute(buf_bytes(&s->pb), 0, "key").bytes,
                         bytes_of("a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd"
                                  "b\0c",
                                  12)));
    otel_span_free(s);
}

/* Long values are cut, not in the middle of a character. */
static void long_text_is_cut(void **state)
{
    struct otel_span *s = open_span(OTEL_SCOPE_RPC, "x");
    static char text[OTEL_VALUE_BYTES_MAX + 10];
    struct bytes got;

    (void) state;
    for (size_t i = 0; i + 3 <= sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    otel_span_text(s, "key", bytes_of(text, sizeof text - 2));
    memset(text, 0xff, sizeof text);
    otel_span_text(s, "bad", bytes_of(text, sizeof text));
    for (size_t i = 0; i < 2; i++) {
        got = attribute(buf_bytes(&s->pb), i, i == 0 ? "key" : "bad").bytes;
        assert_true(got.n <= OTEL_VALUE_BYTES_MAX);
        assert_true(got.n > OTEL_VALUE_BYTES_MAX - 3);
        assert_true(utf8_valid(got));
    }
    otel_span_free(s);
}

/* Events have a time, a name, and, of errors, the two attributes of an exception. */
static void events_and_errors(void **state)
{
    struct otel_span *s = open_span(OTEL_SCOPE_RPC, "x");
    struct bytes e;

    (void) state;
    otel_span_event(s, "Send raft proposal", 2000);
    otel_span_error(s, "etcdserver: request timed out", 2500);
    e = message_at(buf_bytes(&s->pb), 11, 0);
    assert_int_equal(number_at(e, 1), 2000);
    assert_text(message_at(e, 2, 0), "Send raft proposal");
    e = message_at(buf_bytes(&s->pb), 11, 1);
    assert_text(message_at(e, 2, 0), "exception");
    assert_text(message_at(message_at(e, 3, 1), 1, 0), "exception.message");
    otel_span_free(s);
}

/* A span that grows beyond its limit is marked, and takes no harm. */
static void too_long_a_span(void **state)
{
    struct otel_span *s = open_span(OTEL_SCOPE_RPC, "x");
    static char text[OTEL_VALUE_BYTES_MAX];

    (void) state;
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 20; i++)
        otel_span_text(s, "key", bytes_of(text, sizeof text));
    assert_false(otel_span_ok(s));
    assert_true(s->pb.len <= OTEL_SPAN_BYTES_MAX);
    otel_span_free(s);
}

/* A batch: the resource, then the spans of each scope under its name; what does not fit is left. */
static void batch_by_scope(void **state)
{
    struct otel_span *v[3] = {open_span(OTEL_SCOPE_ETCD, "put"),
                              open_span(OTEL_SCOPE_RPC, "KV/Put"),
                              open_span(OTEL_SCOPE_ETCD, "range")};
    struct mpsc_node *first = &v[0]->node;
    struct otel_head head = {"etcd", "one"};
    struct otel_batched got;
    struct bytes spans;
    struct pb_field f;
    struct buf out;

    (void) state;
    v[0]->node.next = &v[1]->node;
    v[1]->node.next = &v[2]->node;
    v[2]->node.next = NULL;
    buf_init(&out, 1 << 20);
    assert_true(otel_batch(&head, &first, 2, &out, &got));
    assert_int_equal(got.n, 2);
    assert_ptr_equal(first, &v[2]->node);
    spans = message_at(buf_bytes(&out), 1, 0);
    assert_text(message_at(message_at(message_at(spans, 1, 0), 1, 0), 1, 0), "service.instance.id");
    assert_text(message_at(message_at(message_at(spans, 1, 0), 1, 1), 1, 0), "service.name");
    assert_text(message_at(message_at(message_at(spans, 2, 0), 2, 0), 5, 0), "KV/Put");
    assert_text(message_at(message_at(message_at(spans, 2, 0), 1, 0), 2, 0), "0.68.0");
    assert_text(message_at(message_at(message_at(spans, 2, 1), 1, 0), 1, 0), "go.etcd.io/etcd");
    assert_text(message_at(message_at(message_at(spans, 2, 1), 2, 0), 5, 0), "put");
    assert_false(find(buf_bytes(&out), 1, 1, &f));
    buf_done(&out);
    otel_span_free(v[2]);
}

/* A batch never grows beyond what a collector takes. */
static void batch_has_a_size(void **state)
{
    static char text[OTEL_VALUE_BYTES_MAX];
    struct otel_head head = {"etcd", ""};
    struct mpsc_node *first = NULL;
    size_t all = 0;

    (void) state;
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 100; i++) {
        struct otel_span *s = open_span(OTEL_SCOPE_ETCD, "put");

        otel_span_text(s, "key", bytes_of(text, sizeof text));
        s->node.next = first;
        first = &s->node;
    }
    while (first != NULL) {
        struct otel_batched got;
        struct buf out;

        buf_init(&out, 2 * OTEL_BATCH_BYTES_MAX);
        assert_true(otel_batch(&head, &first, 512, &out, &got));
        assert_true(out.len < 4u << 20);
        assert_in_range(got.n, 1, 50);
        all += got.n;
        buf_done(&out);
    }
    assert_int_equal(all, 100);
}

/* Where a target leads, as gRPC reads it. */
static void addresses(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
        const char *path;
    } good[] = {
        {"localhost:4317", "localhost", 4317, ""},
        {"127.0.0.1:1", "127.0.0.1", 1, ""},
        {"[::1]:4317", "::1", 4317, ""},
        {"[::1]", "::1", 443, ""},
        {"collector", "collector", 443, ""},
        {":4317", "localhost", 4317, ""},
        {"dns:///collector:4317", "collector", 4317, ""},
        {"dns://8.8.8.8/collector:4317", "collector", 4317, ""},
        {"dns:collector:4317", "collector", 4317, ""},
        {"passthrough:///collector:4317", "collector", 4317, ""},
        {"unix:/run/otel", "", 443, "/run/otel"},
        {"unix:otel", "", 443, "otel"},
        {"unix:///run/otel", "", 443, "/run/otel"},
    };
    static const char *const bad[] = {
        "",           "host:", "host:port", "host:1:2", "host:0",
        "host:65536", "[::1",  "[]:1",      "unix:",    "http://127.0.0.1:1"};
    struct otel_address a;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (!otel_address_parse(good[i].text, &a))
            fail_msg("refused: %s", good[i].text);
        assert_string_equal(a.host, good[i].host);
        assert_int_equal(a.port, good[i].port);
        assert_string_equal(a.unix_path, good[i].path);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (otel_address_parse(bad[i], &a))
            fail_msg("taken: %s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(span_head),
        cmocka_unit_test(attributes_of_each_kind),
        cmocka_unit_test(wrong_text_is_mended),
        cmocka_unit_test(long_text_is_cut),
        cmocka_unit_test(events_and_errors),
        cmocka_unit_test(too_long_a_span),
        cmocka_unit_test(batch_by_scope),
        cmocka_unit_test(batch_has_a_size),
        cmocka_unit_test(addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
