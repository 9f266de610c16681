/* Signed tokens: arbitrary ones, and ones whose head and claims are arbitrary but whose signature
 * is right. */
#include "edge/server/token_int.h"

static const char head[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";

static void put64(struct buf *out, const uint8_t *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    for (size_t i = 0; i < n; i += 3) {
        size_t k = MIN(n - i, (size_t) 3);
        uint32_t x = (uint32_t) p[i] << 16 | (k > 1 ? (uint32_t) p[i + 1] << 8 : 0) |
                     (k > 2 ? p[i + 2] : 0);

        for (size_t d = 0; d <= k; d++)
            buf_add_char(out, digits[x >> (18 - 6 * d) & 63]);
    }
}

static void check(const struct tokens *t, struct bytes token)
{
    struct bytes user = BYTES_EMPTY;
    uint64_t revision = 0;
    struct arena mem;

    arena_init(&mem, 1 << 20);
    if (token_check(t, token, 1000000, &mem, &user, &revision))
        ASSERT(user.n == 0 || memchr(user.p, 0, user.n) == NULL);
    arena_done(&mem);
}

/* The input as claims. */
static void check_signed(const struct tokens *t, const uint8_t *data, size_t size)
{
    uint8_t sig[SIGNATURE_BYTES_MAX];
    struct buf b;
    size_t n;

    buf_init(&b, TOKEN_BYTES_MAX);
    put64(&b, (const uint8_t *) head, sizeof head - 1);
    buf_add_char(&b, '.');
    put64(&b, data, size);
    if (!b.failed && signature_make(t->key, buf_bytes(&b), sig, &n)) {
        buf_add_char(&b, '.');
        put64(&b, sig, n);
        if (!b.failed)
            check(t, buf_bytes(&b));
    }
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokens t = {.kind = TOKENS_JWT, .method = SIGN_HS256};
    uint64_t index;

    if (sign_key_open(SIGN_HS256, BYTES_LIT("secret"), BYTES_EMPTY, &t.key, NULL) != 0)
        return 0;
    token_index(bytes_of(data, size), &index);
    check(&t, bytes_of(data, size));
    check_signed(&t, data, size);
    sign_key_close(t.key);
    return 0;
}
