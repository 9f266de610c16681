#include "engine/net/ws.h"

#include <openssl/evp.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */
#define KEY_BYTES_MAX 256
#define SHA1_BYTES 20
#define FIN 0x80
#define RESERVED 0x70
#define MASKED 0x80

bool ws_accept(struct bytes key, char ret[WS_ACCEPT_BYTES])
{
    uint8_t text[KEY_BYTES_MAX + sizeof GUID], digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (key.n > KEY_BYTES_MAX)
        return false;
    memcpy(text, key.p, key.n);
    memcpy(text + key.n, GUID, sizeof GUID - 1);
    if (EVP_Digest(text, key.n + sizeof GUID - 1, digest, &n, EVP_sha1(), NULL) != 1)
        return false;
    ASSERT(n == SHA1_BYTES);
    EVP_EncodeBlock((uint8_t *) ret, digest, SHA1_BYTES);
    return true;
}

void ws_in_init(struct ws_in *w)
{
    *w = (struct ws_in){0};
}

/* ---- frames in ---- */

/* Bytes of the head, as far as those that are there tell. */
static size_t head_bytes(const struct ws_in *w)
{
    uint8_t n = w->head[1] & 0x7f;

    if (w->head_n < 2)
        return 2;
    return 2u + ((w->head[1] & MASKED) != 0 ? 4u : 0u) + (n == 126 ? 2u : n == 127 ? 8u : 0u);
}

static enum ws_opcode opcode(const struct ws_in *w)
{
    return (enum ws_opcode)(w->head[0] & 0x0f);
}

static bool is_control(const struct ws_in *w)
{
    return (w->head[0] & 0x08) != 0;
}

static bool is_last(const struct ws_in *w)
{
    return (w->head[0] & FIN) != 0;
}

static uint64_t payload_bytes(const struct ws_in *w)
{
    uint8_t n = w->head[1] & 0x7f;
    size_t wide = n == 126 ? 2 : n == 127 ? 8 : 0;
    uint64_t v = 0;

    if (wide == 0)
        return n;
    for (size_t i = 0; i < wide; i++)
        v = v << 8 | w->head[2 + i];
    return v;
}

/* The rules of RFC 6455 5.2, 5.4 and 5.5. */
static bool head_ok(const struct ws_in *w)
{
    enum ws_opcode op = opcode(w);

    if ((w->head[0] & RESERVED) != 0 || (w->head[1] & MASKED) == 0)
        return false;
    if (is_control(w))
        return op <= WS_PONG && is_last(w) && w->left <= WS_CONTROL_BYTES_MAX;
    if (op > WS_BINARY || w->left > INT64_MAX)
        return false;
    return (op == WS_CONTINUATION) == w->in_message;
}

/* True when the head is complete. */
static bool take_head(struct ws_in *w, struct bytes *in)
{
    while (w->head_n < head_bytes(w) && in->n > 0) {
        w->head[w->head_n++] = *in->p;
        *in = bytes_of(in->p + 1, in->n - 1);
    }
    if (w->head_n < head_bytes(w))
        return false;
    w->left = payload_bytes(w);
    w->masked = 0;
    w->in_frame = true;
    w->control_n = 0;
    return true;
}

/* Unmasks up to WS_PART_BYTES behind what is in `part` already. */
static size_t unmask(struct ws_in *w, struct bytes *in, size_t at)
{
    const uint8_t *mask = w->head + head_bytes(w) - 4;
    size_t n = (size_t) MIN(MIN((uint64_t) in->n, w->left), (uint64_t) (WS_PART_BYTES - at));

    for (size_t i = 0; i < n; i++)
        w->part[at + i] = in->p[i] ^ mask[(w->masked + i) % 4];
    w->masked += n;
    w->left -= n;
    *in = bytes_of(in->p + n, in->n - n);
    return n;
}

static void end_frame(struct ws_in *w)
{
    w->in_frame = false;
    w->head_n = 0;
}

static enum ws_event control(struct ws_in *w, struct bytes *in, struct bytes *ret)
{
    enum ws_opcode op = opcode(w);

    w->control_n = (uint8_t) (w->control_n + unmask(w, in, w->control_n));
    if (w->left > 0)
        return WS_EVENT_MORE;
    *ret = bytes_of(w->part, w->control_n);
    end_frame(w);
    if (op == WS_PONG)
        return WS_EVENT_PART; /* nobody waits for one */
    return op == WS_PING ? WS_EVENT_PING : WS_EVENT_CLOSE;
}

enum ws_event ws_next(struct ws_in *w, struct bytes *in, struct bytes *ret)
{
    *ret = BYTES_EMPTY;
    if (!w->in_frame) {
        if (!take_head(w, in))
            return WS_EVENT_MORE;
        if (!head_ok(w))
            return WS_EVENT_BAD;
        if (!is_control(w))
            w->in_message = true;
    }
    if (is_control(w)) {
        enum ws_event e = control(w, in, ret);

        if (e == WS_EVENT_PART)
            *ret = BYTES_EMPTY;
        return e;
    }
    if (w->left > 0) {
        *ret = bytes_of(w->part, unmask(w, in, 0));
        return ret->n > 0 ? WS_EVENT_PART : WS_EVENT_MORE;
    }
    end_frame(w);
    if (!is_last(w))
        return WS_EVENT_PART; /* an empty one: there may be more */
    w->in_message = false;
    return WS_EVENT_MESSAGE;
}

/* ---- frames out ---- */

size_t ws_head_put(uint8_t out[WS_HEAD_BYTES_MAX], enum ws_opcode op, bool last, uint64_t n)
{
    size_t wide = n < 126 ? 0 : n <= UINT16_MAX ? 2 : 8;

    out[0] = (uint8_t) ((last ? FIN : 0) | op);
    out[1] = (uint8_t) (wide == 0 ? n : wide == 2 ? 126 : 127);
    for (size_t i = 0; i < wide; i++)
        out[2 + i] = (uint8_t) (n >> 8 * (wide - 1 - i));
    return 2 + wide;
}
