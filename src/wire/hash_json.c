#include "wire/hash_json.h"

#include <json-c/json.h>
#include <strings.h>

#define DEPTH_MAX 32

/* One number of an object, and where it goes. */
struct number {
    const char *key;
    int64_t min, max;
    int64_t *ret;
};

static bool number_get(struct json_object *v, const struct number *to)
{
    int64_t n;

    if (v == NULL) /* null: as if it were not there */
        return true;
    n = json_object_get_int64(v);
    /* json-c takes what is out of range for the nearest number that is not. */
    if (!json_object_is_type(v, json_type_int) || n < to->min || n > to->max)
        return false;
    *to->ret = n;
    return true;
}

static bool numbers_get(struct json_object *o, const struct number *v, size_t n)
{
    if (o == NULL)
        return true;
    if (!json_object_is_type(o, json_type_object))
        return false;
    json_object_object_foreach(o, key, value)
    {
        for (size_t i = 0; i < n; i++) {
            if (strcasecmp(key, v[i].key) == 0 && !number_get(value, &v[i]))
                return false;
        }
    }
    return true;
}

/* False: no JSON.  *ret is NULL for null. */
static bool document(struct bytes in, struct json_object **ret)
{
    struct json_tokener *t;
    bool ok;

    *ret = NULL;
    while (in.n > 0 && (in.p[in.n - 1] == '\n' || in.p[in.n - 1] == ' '))
        in.n--;
    if (in.n > HASH_JSON_BYTES_MAX)
        return false;
    if (bytes_eq(in, BYTES_LIT("null")))
        return true;
    t = json_tokener_new_ex(DEPTH_MAX);
    if (t == NULL)
        return false;
    json_tokener_set_flags(t, JSON_TOKENER_STRICT);
    *ret = json_tokener_parse_ex(t, (const char *) in.p, (int) in.n);
    ok = json_tokener_get_error(t) == json_tokener_success && json_tokener_get_parse_end(t) == in.n;
    json_tokener_free(t);
    return ok;
}

bool hash_question_parse(struct bytes in, int64_t *ret_revision)
{
    const struct number fields[] = {{"revision", INT64_MIN, INT64_MAX, ret_revision}};
    struct json_object *o;
    bool ok;

    *ret_revision = 0;
    ok = document(in, &o) && numbers_get(o, fields, 1);
    json_object_put(o);
    return ok;
}

bool hash_question_put(int64_t revision, struct buf *out)
{
    if (revision == 0)
        return buf_add_str(out, "{}");
    return buf_printf(out, "{\"revision\":%" PRIi64 "}", revision);
}

bool hash_answer_parse(struct bytes in, struct hash_answer *ret)
{
    struct hash_answer a = {0};
    int64_t hash = 0;
    const struct number fields[] = {{"hash", 0, UINT32_MAX, &hash},
                                    {"compact_revision", INT64_MIN, INT64_MAX, &a.compact_revision},
                                    {"hash_revision", INT64_MIN, INT64_MAX, &a.hash_revision}};
    const struct number of_header[] = {{"revision", INT64_MIN, INT64_MAX, &a.revision}};
    struct json_object *o, *header = NULL;
    bool ok = document(in, &o) && o != NULL && numbers_get(o, fields, ARRAY_LEN(fields));

    if (ok && json_object_object_get_ex(o, "header", &header))
        ok = numbers_get(header, of_header, 1);
    json_object_put(o);
    a.hash = (uint32_t) hash;
    if (ok)
        *ret = a;
    return ok;
}

bool hash_answer_put(const struct hash_answer *a, struct buf *out)
{
    buf_printf(out, "{\"header\":{\"revision\":%" PRIi64 "}", a->revision);
    if (a->hash != 0)
        buf_printf(out, ",\"hash\":%" PRIu32, a->hash);
    if (a->compact_revision != 0)
        buf_printf(out, ",\"compact_revision\":%" PRIi64, a->compact_revision);
    if (a->hash_revision != 0)
        buf_printf(out, ",\"hash_revision\":%" PRIi64, a->hash_revision);
    return buf_add_char(out, '}') && !out->failed;
}
