#include "engine/net/ws.h"

#include "base/buf.h"
#include "lib/cm.h"

/* The key's answer of RFC 6455 1.3. */
static void test_accept(void **state)
{
    char accept[WS_ACCEPT_BYTES], longest[300];

    (void) state;
    assert_true(ws_accept(BYTES_LIT("dGhlIHNhbXBsZSBub25jZQ=="), accept));
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    memset(longest, 'a', sizeof longest);
    assert_false(ws_accept(bytes_of(longest, sizeof longest), accept));
}

/* What comes of `in`, given in pieces of `step`: "text|" for each message, "P<...>" for a ping, "C"
 * for a close, "!" for what breaks the rules. */
static void trace(const void *in, size_t n, size_t step, char *out, size_t cap)
{
    struct ws_in w;
    struct buf b;

    ws_in_init(&w);
    buf_init(&b, 1u << 20);
    for (size_t at = 0; at < n; at += step) {
        struct bytes part, piece = bytes_of((const uint8_t *) in + at, MIN(step, n - at));
        enum ws_event e;

        while ((e = ws_next(&w, &piece, &part)) != WS_EVENT_MORE && e != WS_EVENT_BAD) {
            if (e == WS_EVENT_PING)
                buf_printf(&b, "P<%.*s>", (int) part.n, (const char *) part.p);
            else if (e == WS_EVENT_CLOSE)
                buf_add_char(&b, 'C');
            else if (e == WS_EVENT_MESSAGE)
                buf_add_char(&b, '|');
            else
                buf_add_bytes(&b, part);
        }
        if (e == WS_EVENT_BAD) {
            buf_add_char(&b, '!');
            break;
        }
        assert_int_equal(piece.n, 0);
    }
    snprintf(out, cap, "%s", buf_cstr(&b));
    buf_done(&b);
}

#define KEY "\x01\x02\x03\x04"

/* Messages in one frame and in several with a ping between them, masked, cut anywhere. */
static void test_frames(void **state)
{
    static const struct {
        const char *in;
        size_t n;
        const char *want;
    } cases[] = {
        {"\x81\x82" KEY "ik\x81\x80" KEY, 14, "hi||"},
        {"\x01\x82" KEY "ik\x89\x82" KEY "ik\x80\x81" KEY "i", 23, "hiP<hi>h|"},
        {"\x82\xfe\x00\x02" KEY "ik", 10, "hi|"},
        {"\x82\xff\0\0\0\0\0\0\0\x02" KEY "ik", 16, "hi|"},
        {"\x8a\x82" KEY "ik\x88\x80" KEY, 14, "C"},
        {"\x01\x80" KEY "\x80\x80" KEY, 12, "|"},
    };
    char got[64];

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step <= cases[i].n; step++) {
            trace(cases[i].in, cases[i].n, step, got, sizeof got);
            assert_string_equal(got, cases[i].want);
        }
    }
}

/* Frames that a client may not send. */
static void test_rules(void **state)
{
    static const struct {
        const char *in;
        size_t n;
    } cases[] = {
        {"\x81\x02hi", 4},                      /* not masked */
        {"\xc1\x80" KEY, 6},                    /* a reserved bit */
        {"\x83\x80" KEY, 6},                    /* an unknown kind */
        {"\x8b\x80" KEY, 6},                    /* an unknown control frame */
        {"\x80\x80" KEY, 6},                    /* a continuation of nothing */
        {"\x01\x80" KEY "\x81\x80" KEY, 12},    /* a message within a message */
        {"\x09\x80" KEY, 6},                    /* a ping in pieces */
        {"\x89\xfe\x00\x7e" KEY, 8},            /* a ping that is too long */
        {"\x82\xff\x80\0\0\0\0\0\0\0" KEY, 14}, /* a length beyond 2^63 */
    };
    char got[64];

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step <= cases[i].n; step++) {
            trace(cases[i].in, cases[i].n, step, got, sizeof got);
            assert_string_equal(got, "!");
        }
    }
}

/* The three forms of a length. */
static void test_heads(void **state)
{
    uint8_t head[WS_HEAD_BYTES_MAX];

    (void) state;
    assert_int_equal(ws_head_put(head, WS_TEXT, true, 125), 2);
    assert_memory_equal(head, "\x81\x7d", 2);
    assert_int_equal(ws_head_put(head, WS_TEXT, false, 126), 4);
    assert_memory_equal(head, "\x01\x7e\x00\x7e", 4);
    assert_int_equal(ws_head_put(head, WS_CONTINUATION, true, 65536), 10);
    assert_memory_equal(head, "\x80\x7f\0\0\0\0\0\x01\0\0", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_heads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
