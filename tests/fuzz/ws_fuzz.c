/* Any bytes as a client's WebSocket frames: how they are cut makes no difference to what comes of
 * them. */
#include "base/buf.h"
#include "engine/net/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Events and bytes of messages, in order. */
static void run(struct bytes in, size_t step, struct buf *out)
{
    struct ws_in w;
    enum ws_event e = WS_EVENT_MORE;

    ws_in_init(&w);
    for (size_t at = 0; at < in.n && e != WS_EVENT_BAD; at += step) {
        struct bytes part, piece = bytes_of(in.p + at, MIN(step, in.n - at));

        while ((e = ws_next(&w, &piece, &part)) != WS_EVENT_MORE && e != WS_EVENT_BAD) {
            if (e != WS_EVENT_PART)
                buf_printf(out, "<%d>", e);
            buf_add_bytes(out, part);
        }
        if (e == WS_EVENT_BAD)
            buf_printf(out, "<bad>");
        else if (piece.n != 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, pieces;
    struct bytes in;

    if (size < 1)
        return 0;
    in = bytes_of(data + 1, size - 1);
    buf_init(&whole, 64u << 20);
    buf_init(&pieces, 64u << 20);
    run(in, MAX(in.n, (size_t) 1), &whole);
    run(in, 1 + data[0] % 16, &pieces);
    if (!bytes_eq(buf_bytes(&whole), buf_bytes(&pieces)))
        abort();
    buf_done(&whole);
    buf_done(&pieces);
    return 0;
}
