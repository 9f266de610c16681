/* Messages in gzip: what is refused, with grpc-go's words, and what a hostile one may cost. */
#include "engine/net/gzip.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "lib/cm.h"

#define MAX_BYTES 65536
#define OK 0
#define RESOURCE_EXHAUSTED 8
#define INTERNAL 13

static char text[GZIP_TEXT_BYTES];

/* One member that inflates to n bytes of `c`, and what `rest` holds behind it. */
static void pack(struct buf *out, size_t n, char c)
{
    uint8_t *p = mem_alloc(n + 1);
    struct gzip_writer *w;

    memset(p, c, n);
    w = gzip_begin(out);
    assert_non_null(w);
    assert_true(gzip_add(w, bytes_of(p, n / 2)));
    assert_true(gzip_add(w, bytes_of(p + n / 2, n - n / 2)));
    assert_true(gzip_finish(w));
    gzip_end(w);
    mem_free(p);
}

static int unpack(struct bytes in, struct buf *out)
{
    buf_clear(out);
    text[0] = 0;
    return gzip_inflate(in, MAX_BYTES, out, text);
}

static void refused(struct bytes in, int status, const char *why)
{
    struct buf out;

    buf_init(&out, MAX_BYTES + 1);
    assert_int_equal(unpack(in, &out), status);
    assert_string_equal(text, why);
    buf_done(&out);
}

/* What a member says of its length is taken for a promise, unless deflate cannot keep it. */
static void test_promised(void **state)
{
    struct buf z;

    (void) state;
    buf_init(&z, 1u << 20);
    pack(&z, MAX_BYTES, 'a');
    assert_int_equal(gzip_promised(buf_bytes(&z), MAX_BYTES), MAX_BYTES);
    assert_int_equal(gzip_promised(buf_bytes(&z), MAX_BYTES - 1), MAX_BYTES - 1);
    assert_int_equal(gzip_promised(bytes_of(z.p, 17), MAX_BYTES), 0);
    z.p[z.len - 1] = 0xff;
    assert_int_equal(gzip_promised(buf_bytes(&z), MAX_BYTES), 0);
    buf_done(&z);
}

/* What was packed comes back, for lengths around those of a step and of the maximum; members stand
 * one behind the other. */
static void test_round_trip(void **state)
{
    const size_t lengths[] = {0, 1, 16383, 16384, 16385, MAX_BYTES - 1, MAX_BYTES};
    struct buf z, out;

    (void) state;
    buf_init(&z, 1u << 20);
    buf_init(&out, MAX_BYTES + 1);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        buf_clear(&z);
        pack(&z, lengths[i], 'a');
        assert_int_equal(unpack(buf_bytes(&z), &out), OK);
        assert_int_equal(out.len, lengths[i]);
        for (size_t k = 0; k < out.len; k++)
            assert_int_equal(out.p[k], 'a');
    }
    buf_clear(&z);
    pack(&z, 3, 'b');
    pack(&z, 0, 'b');
    pack(&z, 2, 'c');
    assert_int_equal(unpack(buf_bytes(&z), &out), OK);
    assert_true(bytes_eq(buf_bytes(&out), BYTES_LIT("bbbcc")));
    buf_done(&z);
    buf_done(&out);
}

/* A message that would inflate to 256 MiB is refused after its limit: the memory it costs stays
 * below that of the longest message. */
static void test_bomb(void **state)
{
    struct buf z, out;

    (void) state;
    buf_init(&z, 4u << 20);
    buf_init(&out, MAX_BYTES + 1);
    pack(&z, 256u << 20, 0);
    assert_true(z.len < 2u << 20);
    assert_int_equal(unpack(buf_bytes(&z), &out), RESOURCE_EXHAUSTED);
    assert_string_equal(text, "grpc: received message after decompression larger than max 65536");
    assert_true(out.cap <= MAX_BYTES + 1);
    buf_clear(&z);
    pack(&z, MAX_BYTES, 'x');
    pack(&z, 1, 'x'); /* the sum counts */
    assert_int_equal(unpack(buf_bytes(&z), &out), RESOURCE_EXHAUSTED);
    buf_done(&z);
    buf_done(&out);
}

/* Damage is told in the words of Go's readers: in the head, in the data, in the trailer, behind it.
 */
static void test_damage(void **state)
{
    static const char head[] = "grpc: failed to decompress the message: ";
    static const char data[] = "grpc: failed to read decompressed data: ";
    char why[128];
    struct buf z;

    (void) state;
    buf_init(&z, 1u << 20);
    pack(&z, 100, 'a');
    snprintf(why, sizeof why, "%sEOF", head);
    refused(BYTES_EMPTY, INTERNAL, why);
    snprintf(why, sizeof why, "%sunexpected EOF", head);
    for (size_t n = 1; n < 10; n++)
        refused(bytes_of(z.p, n), INTERNAL, why);
    snprintf(why, sizeof why, "%sunexpected EOF", data);
    for (size_t n = 10; n < z.len; n++)
        refused(bytes_of(z.p, n), INTERNAL, why);
    buf_add_str(&z, "more");
    refused(buf_bytes(&z), INTERNAL, why);
    buf_add_str(&z, "and more");
    snprintf(why, sizeof why, "%sgzip: invalid header", data);
    refused(buf_bytes(&z), INTERNAL, why);
    z.len -= 12;
    z.p[z.len - 1] ^= 1; /* the length */
    snprintf(why, sizeof why, "%sgzip: invalid checksum", data);
    refused(buf_bytes(&z), INTERNAL, why);
    z.p[z.len - 1] ^= 1;
    z.p[z.len - 5] ^= 1; /* the checksum */
    refused(buf_bytes(&z), INTERNAL, why);
    z.p[2] = 7; /* the method */
    snprintf(why, sizeof why, "%sgzip: invalid header", head);
    refused(buf_bytes(&z), INTERNAL, why);
    z.p[2] = 8;
    z.p[10] = 0x07; /* a block of a type that does not exist */
    snprintf(why, sizeof why, "%sflate: corrupt input before offset 1", data);
    refused(buf_bytes(&z), INTERNAL, why);
    buf_done(&z);
}

/* Every optional field of a head is passed over, and each may be cut short or too long. */
static void test_head_fields(void **state)
{
    static const char name_end[] = "grpc: failed to decompress the message: unexpected EOF";
    static const uint8_t extra[] = {3, 0, 'x', 'y', 'z'};
    uint8_t long_name[600];
    struct buf plain, z, out;

    (void) state;
    buf_init(&plain, 65536);
    buf_init(&z, 65536);
    buf_init(&out, MAX_BYTES + 1);
    pack(&plain, 5, 'h');
    buf_add(&z, plain.p, 10);
    z.p[3] = 4 | 8 | 16;
    buf_add(&z, extra, sizeof extra);
    buf_add(&z, "name", 5);
    buf_add(&z, "comment", 8);
    for (size_t n = 10; n < z.len; n++)
        refused(bytes_of(z.p, n), INTERNAL, name_end);
    buf_add(&z, plain.p + 10, plain.len - 10);
    assert_int_equal(unpack(buf_bytes(&z), &out), OK);
    assert_true(bytes_eq(buf_bytes(&out), BYTES_LIT("hhhhh")));
    z.p[3] |= 2; /* a checksum of the head: these two bytes are none */
    refused(buf_bytes(&z), INTERNAL,
            "grpc: failed to decompress the message: gzip: invalid header");
    buf_clear(&z);
    buf_add(&z, plain.p, 10);
    z.p[3] = 8;
    memset(long_name, 'n', sizeof long_name);
    buf_add(&z, long_name, sizeof long_name);
    refused(buf_bytes(&z), INTERNAL,
            "grpc: failed to decompress the message: gzip: invalid header");
    buf_done(&plain);
    buf_done(&z);
    buf_done(&out);
}

/* A writer whose buffer takes no more says so. */
static void test_writer_refused(void **state)
{
    struct gzip_writer *w;
    struct buf out;
    uint8_t noise[4096];

    (void) state;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t) (i * i * 2654435761u >> 13);
    buf_init(&out, 100);
    w = gzip_begin(&out);
    assert_non_null(w);
    assert_false(gzip_add(w, bytes_of(noise, sizeof noise)) && gzip_finish(w));
    gzip_end(w);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promised),    cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bomb),        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_head_fields), cmocka_unit_test(test_writer_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
