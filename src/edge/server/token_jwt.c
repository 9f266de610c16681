/* Signed tokens: {"alg":...,"typ":"JWT"} . {"exp":...,"revision":...,"username":...} . signature,
 * each in base64 as for URLs, without padding (RFC 7515). */
#include <json-c/json.h>

#include "edge/server/token_int.h"

#define JSON_DEPTH_MAX 32

/* ---- base64url ---- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put64(struct buf *out, struct bytes in)
{
    for (size_t i = 0; i < in.n; i += 3) {
        size_t k = MIN(in.n - i, (size_t) 3);
        uint32_t x = (uint32_t) in.p[i] << 16 | (k > 1 ? (uint32_t) in.p[i + 1] << 8 : 0) |
                     (k > 2 ? in.p[i + 2] : 0);

        for (size_t d = 0; d <= k; d++)
            buf_add_char(out, digits[x >> (18 - 6 * d) & 63]);
    }
}

static bool get64(struct bytes in, struct arena *mem, struct bytes *ret)
{
    uint8_t *p = arena_alloc(mem, in.n + 1);
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;

    if (p == NULL || in.n % 4 == 1)
        return false;
    for (size_t i = 0; i < in.n; i++) {
        const char *d = in.p[i] == 0 ? NULL : memchr(digits, in.p[i], sizeof digits - 1);

        if (d == NULL)
            return false;
        bits = bits << 6 | (uint32_t) (d - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            p[n++] = (uint8_t) (bits >> have);
        }
    }
    p[n] = 0;
    *ret = bytes_of(p, n);
    return true;
}

/* ---- reading ---- */

/* An object of JSON and nothing behind it; NULL: it is none. */
static json_object *object_of(struct bytes part, struct arena *mem)
{
    struct bytes text;
    json_tokener *t;
    json_object *o = NULL;

    if (!get64(part, mem, &text) || text.n > TOKEN_BYTES_MAX)
        return NULL;
    t = json_tokener_new_ex(JSON_DEPTH_MAX);
    if (t == NULL)
        return NULL;
    json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    /* With the NUL behind it, so that a number at the end is complete. */
    o = json_tokener_parse_ex(t, (const char *) text.p, (int) text.n + 1);
    if (json_tokener_get_error(t) != json_tokener_success ||
        !json_object_is_type(o, json_type_object)) {
        json_object_put(o);
        o = NULL;
    }
    json_tokener_free(t);
    return o;
}

static bool is_number(const json_object *o)
{
    return json_object_is_type(o, json_type_int) || json_object_is_type(o, json_type_double);
}

static bool alg_is(const json_object *head, enum sign_method m)
{
    json_object *alg;

    return json_object_object_get_ex(head, "alg", &alg) &&
           json_object_is_type(alg, json_type_string) &&
           strcmp(json_object_get_string(alg), sign_method_name(m)) == 0;
}

/* Seconds since 1970.  Absent and 0 are no limit; what is no number makes the token bad. */
static bool time_of(const json_object *claims, const char *name, double *ret)
{
    json_object *o;

    *ret = 0;
    if (!json_object_object_get_ex(claims, name, &o))
        return true;
    if (!is_number(o))
        return false;
    *ret = json_object_get_double(o);
    return true;
}

bool token__is_timely(const struct token_claims *c, wall_ms now_ms)
{
    double now = (double) now_ms / 1000;

    return !(c->until != 0 && now >= c->until) && !(c->from != 0 && now < c->from);
}

/* As Go turns a float64 into a uint64: cut off; what does not fit is as great as can be. */
static uint64_t whole(double d)
{
    if (!(d > -1))
        return UINT64_MAX;
    return d >= 18446744073709551615.0 ? UINT64_MAX : (uint64_t) d;
}

static bool take_claims(const json_object *claims, struct arena *mem, struct token_claims *ret)
{
    json_object *user, *revision;
    void *p;

    if (!time_of(claims, "exp", &ret->until) || !time_of(claims, "nbf", &ret->from))
        return false;
    if (!json_object_object_get_ex(claims, "username", &user) ||
        !json_object_is_type(user, json_type_string) ||
        !json_object_object_get_ex(claims, "revision", &revision) || !is_number(revision))
        return false;
    p = arena_dup(mem, json_object_get_string(user), (size_t) json_object_get_string_len(user));
    if (p == NULL)
        return false;
    ret->user = bytes_of(p, (size_t) json_object_get_string_len(user));
    ret->revision = whole(json_object_get_double(revision));
    return memchr(p, 0, ret->user.n) == NULL;
}

/* Three parts, no more and no less. */
static bool split(struct bytes token, struct bytes ret[3])
{
    size_t part = 0;
    const uint8_t *from = token.p;

    for (size_t i = 0; i < token.n; i++) {
        if (token.p[i] != '.')
            continue;
        if (part == 2)
            return false;
        ret[part++] = bytes_of(from, (size_t) (token.p + i - from));
        from = token.p + i + 1;
    }
    if (part != 2)
        return false;
    ret[2] = bytes_of(from, (size_t) (token.p + token.n - from));
    return true;
}

bool token__verify(const struct tokens *t, struct bytes token, struct arena *mem,
                   struct token_claims *ret)
{
    json_object *head = NULL, *claims = NULL;
    struct bytes part[3], signature;
    bool ok;

    if (t->kind != TOKENS_JWT || token.n > TOKEN_BYTES_MAX || !split(token, part))
        return false;
    /* The signature first: nothing of a stranger's JSON is looked at but the name of the method. */
    head = object_of(part[0], mem);
    ok = head != NULL && alg_is(head, t->method) && get64(part[2], mem, &signature) &&
         signature_check(t->key, bytes_of(token.p, (size_t) (part[2].p - 1 - token.p)), signature);
    if (ok)
        claims = object_of(part[1], mem);
    ok = claims != NULL && take_claims(claims, mem, ret);
    json_object_put(head);
    json_object_put(claims);
    return ok;
}

bool token_check(const struct tokens *t, struct bytes token, wall_ms now, struct arena *mem,
                 struct bytes *ret_user, uint64_t *ret_revision)
{
    struct token_claims c;

    if (!token__verify(t, token, mem, &c) || !token__is_timely(&c, now))
        return false;
    *ret_user = c.user;
    *ret_revision = c.revision;
    return true;
}

/* ---- writing ---- */

static bool put_claims(const struct tokens *t, const char *user, uint64_t revision, wall_ms now_ms,
                       struct buf *out)
{
    json_object *o = json_object_new_object();
    const char *text;
    bool ok = o != NULL &&
              json_object_object_add(
                  o, "exp", json_object_new_int64((now_ms + t->ttl_ns / 1000000) / 1000)) == 0 &&
              json_object_object_add(o, "revision", json_object_new_uint64(revision)) == 0 &&
              json_object_object_add(o, "username", json_object_new_string(user)) == 0;

    text = ok ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
                                                      JSON_C_TO_STRING_NOSLASHESCAPE)
              : NULL;
    if (text != NULL)
        put64(out, bytes_str(text));
    json_object_put(o);
    return text != NULL;
}

int token_make(const struct tokens *t, const char *user, uint64_t revision, wall_ms now,
               struct buf *out)
{
    uint8_t signature[SIGNATURE_BYTES_MAX];
    char head[64];
    size_t n, from;

    if (t->kind != TOKENS_JWT)
        return API_AUTH_FAILED;
    if (!sign_key_may_sign(t->key))
        return API_TOKEN_VERIFY_ONLY;
    from = out->len;
    snprintf(head, sizeof head, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", sign_method_name(t->method));
    put64(out, bytes_str(head));
    buf_add_char(out, '.');
    if (!put_claims(t, user, revision, now, out) ||
        !signature_make(t->key, bytes_of(out->p + from, out->len - from), signature, &n))
        return -1;
    buf_add_char(out, '.');
    put64(out, bytes_of(signature, n));
    return out->failed ? -1 : 0;
}
