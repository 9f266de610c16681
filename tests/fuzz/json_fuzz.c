/* Any text as the JSON of a request, and any bytes as a message to be written as JSON.
 *
 * What is accepted is a message that the generated decoder reads; written as JSON and read again it
 * is the same message.  How the input is cut makes no difference. */
#include "base/alloc.h"
#include "rpc.pb-c.h"
#include "v3lock.pb-c.h"
#include "wire/json.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const types[] = {
    &etcdserverpb__range_request__descriptor, &etcdserverpb__txn_request__descriptor,
    &etcdserverpb__watch_request__descriptor, &etcdserverpb__range_response__descriptor,
    &etcdserverpb__txn_response__descriptor,  &etcdserverpb__status_response__descriptor,
    &etcdserverpb__alarm_request__descriptor, &v3lockpb__lock_request__descriptor,
};

#define READ_BYTES_MAX ((size_t) 1 << 20)

/* Scans `in` in pieces of `step` bytes; the length of the value, SIZE_MAX: there is none. */
static size_t scan(struct bytes in, size_t step)
{
    static struct json_scan s;
    enum json_scanned got = JSON_SCAN_MORE;
    size_t at = 0, used;

    json_scan_init(&s);
    while (at < in.n && got == JSON_SCAN_MORE) {
        got = json_scan(&s, bytes_of(in.p + at, MIN(step, in.n - at)), &used);
        at += used;
    }
    if (got == JSON_SCAN_MORE)
        got = json_scan_end(&s);
    return got == JSON_SCAN_DONE ? at : SIZE_MAX;
}

static bool write_all(const ProtobufCMessageDescriptor *d, struct bytes in, size_t step,
                      struct buf *out)
{
    struct json_write w;
    bool ok;

    json_write_init(&w, (step & 1) != 0);
    ok = json_write_begin(&w, d, out);
    for (size_t at = 0; at < in.n && ok; at += step)
        ok = json_write_part(&w, bytes_of(in.p + at, MIN(step, in.n - at)), out);
    ok = json_write_end(&w, out) && ok;
    json_write_done(&w);
    return ok;
}

static void check_read(const ProtobufCMessageDescriptor *d, struct bytes text, size_t step)
{
    struct err e = ERR_INIT;
    ProtobufCMessage *m;
    struct bytes first, again;
    struct arena a;
    struct buf out;

    arena_init(&a, 64u << 20);
    buf_init(&out, 16u << 20);
    if (json_read(d, text, READ_BYTES_MAX, &a, &first, &e) == 0) {
        if (wire_decode(d, first, &a, &m, &e) != 0)
            abort();
        buf_clear(&out);
        if (!wire_encode(m, &out)) /* fields in ascending order, as json_write wants them */
            abort();
        first = bytes_of(arena_dup(&a, out.p, out.len), out.len);
        buf_clear(&out);
        if (!write_all(d, first, step, &out) || scan(buf_bytes(&out), 7) != out.len)
            abort();
        if (json_read(d, buf_bytes(&out), READ_BYTES_MAX, &a, &again, &e) != 0)
            abort();
        if (wire_decode(d, again, &a, &m, &e) != 0)
            abort();
        buf_clear(&out);
        if (!wire_encode(m, &out) || !bytes_eq(buf_bytes(&out), first))
            abort();
    } else if (e.msg[0] == '\0') {
        abort();
    }
    buf_done(&out);
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ProtobufCMessageDescriptor *d;
    struct bytes in;
    struct buf out;
    size_t step, n;

    if (size < 2)
        return 0;
    d = types[data[0] % ARRAY_LEN(types)];
    step = 1 + data[1] % 32;
    in = bytes_of(data + 2, size - 2);
    n = scan(in, step);
    if (n != scan(in, in.n + 1))
        abort();
    if (n != SIZE_MAX)
        check_read(d, bytes_of(in.p, n), step);
    buf_init(&out, 64u << 20);
    if (write_all(d, in, step, &out) && scan(buf_bytes(&out), 3) != out.len)
        abort();
    buf_done(&out);
    return 0;
}
