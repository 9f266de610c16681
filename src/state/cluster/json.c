#include <json-c/json.h>

#include "state/cluster/cluster_int.h"
#include "wire/gojson.h"
#include "wire/wire.h"

#define JSON_DEPTH_MAX 8

/* ---- writing: exact bytes, because the records are hashed and compared ---- */

bool cluster__member_json(const struct cluster_member *m, bool promote, struct buf *out)
{
    buf_printf(out, "{\"id\":%" PRIu64 ",\"peerURLs\":", m->id);
    gojson_add_strings(out, m->peer_urls.v, m->peer_urls.n, true);
    if (m->is_learner)
        buf_add_str(out, ",\"isLearner\":true");
    if (m->name[0] != '\0') {
        buf_add_str(out, ",\"name\":");
        gojson_add_string(out, bytes_str(m->name));
    }
    if (m->client_urls.n != 0) {
        buf_add_str(out, ",\"clientURLs\":");
        gojson_add_strings(out, m->client_urls.v, m->client_urls.n, true);
    }
    if (promote)
        buf_add_str(out, ",\"isPromote\":true");
    return buf_add_char(out, '}') && !out->failed;
}

bool cluster__downgrade_json(const struct cluster_downgrade *d, struct buf *out)
{
    buf_add_str(out, "{\"target-version\":");
    gojson_add_string(out, bytes_str(d->target));
    buf_add_str(out, d->enabled ? ",\"enabled\":true}" : ",\"enabled\":false}");
    return !out->failed;
}

static void ids_json(const char *name, const struct raft_ids *ids, struct buf *out)
{
    if (ids->n == 0)
        return;
    buf_printf(out, "\"%s\":[", name);
    for (size_t i = 0; i < ids->n; i++)
        buf_printf(out, i == 0 ? "%" PRIu64 : ",%" PRIu64, ids->v[i]);
    buf_add_str(out, "],");
}

bool cluster__conf_state_json(const struct raft_conf_state *cs, struct buf *out)
{
    buf_add_char(out, '{');
    ids_json("voters", &cs->voters, out);
    ids_json("learners", &cs->learners, out);
    ids_json("voters_outgoing", &cs->voters_outgoing, out);
    ids_json("learners_next", &cs->learners_next, out);
    buf_add_str(out, cs->auto_leave ? "\"auto_leave\":true}" : "\"auto_leave\":false}");
    return !out->failed;
}

/* ---- reading, with json-c, which has unsigned 64-bit numbers ---- */

/* The document's outermost value, to be released with json_object_put. */
static int parse_as(struct bytes in, enum json_type type, struct json_object **ret, struct err *e)
{
    struct json_tokener *t;
    struct json_object *o;
    bool whole;

    if (in.n > INT_MAX)
        return err_set(e, ERR_LIMIT, "JSON of %zu bytes", in.n);
    if (!utf8_valid(in)) /* json-c's own check lets overlong forms through */
        return err_set(e, ERR_CORRUPT, "JSON that is not UTF-8");
    t = json_tokener_new_ex(JSON_DEPTH_MAX);
    if (t == NULL)
        return err_set(e, ERR_NOMEM, "read JSON: out of memory");
    json_tokener_set_flags(t, JSON_TOKENER_STRICT);
    o = json_tokener_parse_ex(t, (const char *) in.p, (int) in.n);
    whole = json_tokener_get_error(t) == json_tokener_success &&
            json_tokener_get_parse_end(t) == in.n;
    json_tokener_free(t);
    if (!whole || !json_object_is_type(o, type)) {
        json_object_put(o);
        return err_set(e, ERR_CORRUPT, "not a JSON %s",
                       type == json_type_array ? "array" : "object");
    }
    *ret = o;
    return 0;
}

static int parse(struct bytes in, struct json_object **ret, struct err *e)
{
    return parse_as(in, json_type_object, ret, e);
}

static int wrong_type(const char *key, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "JSON member \"%s\" has another type than expected", key);
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "read JSON: out of memory");
}

static int as_u64(struct json_object *o, uint64_t *ret)
{
    if (!json_object_is_type(o, json_type_int) || json_object_get_int64(o) < 0)
        return ERR_CORRUPT;
    *ret = json_object_get_uint64(o);
    return 0;
}

/* Absent or null: left as it is. */
static int get_u64(struct json_object *o, const char *key, uint64_t *ret, struct err *e)
{
    struct json_object *v;

    if (!json_object_object_get_ex(o, key, &v) || v == NULL)
        return 0;
    return as_u64(v, ret) == 0 ? 0 : wrong_type(key, e);
}

static int get_bool(struct json_object *o, const char *key, bool *ret, struct err *e)
{
    struct json_object *v;

    if (!json_object_object_get_ex(o, key, &v) || v == NULL)
        return 0;
    if (!json_object_is_type(v, json_type_boolean))
        return wrong_type(key, e);
    *ret = json_object_get_boolean(v);
    return 0;
}

/* A copy in the arena.  Text with a NUL inside could not be kept. */
static int as_string(struct json_object *v, const char *key, struct arena *a, const char **ret,
                     struct err *e)
{
    const char *s;
    size_t n;

    if (!json_object_is_type(v, json_type_string))
        return wrong_type(key, e);
    s = json_object_get_string(v);
    n = (size_t) json_object_get_string_len(v);
    if (strlen(s) != n)
        return err_set(e, ERR_CORRUPT, "JSON member \"%s\" contains a NUL", key);
    *ret = arena_dup(a, s, n + 1);
    return *ret != NULL ? 0 : no_memory(e);
}

static int get_string(struct json_object *o, const char *key, struct arena *a, const char **ret,
                      struct err *e)
{
    struct json_object *v;

    if (!json_object_object_get_ex(o, key, &v) || v == NULL)
        return 0;
    return as_string(v, key, a, ret, e);
}

/* The elements of an array; 0 when it is absent or null. */
static int get_array(struct json_object *o, const char *key, size_t max, struct json_object **ret,
                     size_t *ret_n, struct err *e)
{
    *ret_n = 0;
    if (!json_object_object_get_ex(o, key, ret) || *ret == NULL)
        return 0;
    if (!json_object_is_type(*ret, json_type_array))
        return wrong_type(key, e);
    *ret_n = json_object_array_length(*ret);
    if (*ret_n > max)
        return err_set(e, ERR_LIMIT, "JSON member \"%s\" has more than %zu elements", key, max);
    return 0;
}

static int get_strings(struct json_object *o, const char *key, struct arena *a,
                       struct cluster_strings *ret, struct err *e)
{
    struct json_object *v;
    const char **strings;
    size_t n;
    int rc = get_array(o, key, SIZE_MAX, &v, &n, e);

    if (rc != 0 || n == 0)
        return rc;
    strings = arena_calloc(a, n, sizeof *strings);
    if (strings == NULL)
        return no_memory(e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = as_string(json_object_array_get_idx(v, i), key, a, &strings[i], e);
    *ret = (struct cluster_strings){strings, n};
    return rc;
}

static int get_ids(struct json_object *o, const char *key, struct arena *a, struct raft_ids *ret,
                   struct err *e)
{
    struct json_object *v;
    size_t n;
    int rc = get_array(o, key, RAFTPB_CONF_IDS_MAX, &v, &n, e);

    if (rc != 0 || n == 0)
        return rc;
    ret->v = arena_calloc(a, n, sizeof *ret->v);
    if (ret->v == NULL)
        return no_memory(e);
    ret->n = n;
    for (size_t i = 0; i < n; i++) {
        if (as_u64(json_object_array_get_idx(v, i), &ret->v[i]) != 0)
            return wrong_type(key, e);
    }
    return 0;
}

static int member_get(struct json_object *o, struct arena *a, struct cluster_member *ret,
                      bool *ret_promote, struct err *e)
{
    struct cluster_member m = {.name = ""};
    int rc = get_u64(o, "id", &m.id, e);

    *ret_promote = false;
    if (rc == 0)
        rc = get_strings(o, "peerURLs", a, &m.peer_urls, e);
    if (rc == 0)
        rc = get_bool(o, "isLearner", &m.is_learner, e);
    if (rc == 0)
        rc = get_string(o, "name", a, &m.name, e);
    if (rc == 0)
        rc = get_strings(o, "clientURLs", a, &m.client_urls, e);
    if (rc == 0)
        rc = get_bool(o, "isPromote", ret_promote, e);
    if (rc == 0)
        *ret = m;
    return rc;
}

int cluster__member_parse(struct bytes in, struct arena *a, struct cluster_member *ret,
                          bool *ret_promote, struct err *e)
{
    struct json_object *o = NULL;
    int rc = parse(in, &o, e);

    if (rc == 0)
        rc = member_get(o, a, ret, ret_promote, e);
    json_object_put(o);
    return rc;
}

/* ---- all members, as the peer port lists them ---- */

bool cluster_members_json(const struct cluster_view *v, struct buf *out)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < v->members_n; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        cluster__member_json(&v->members[i], false, out);
    }
    return buf_add_char(out, ']') && !out->failed;
}

static int members_get(struct json_object *list, struct arena *a, struct cluster_member **ret,
                       size_t *ret_n, struct err *e)
{
    size_t n = json_object_array_length(list);
    bool promote;
    int rc = 0;

    if (n > CLUSTER_MEMBERS_MAX)
        return err_set(e, ERR_LIMIT, "%zu members are more than %d", n, CLUSTER_MEMBERS_MAX);
    *ret = arena_calloc(a, n + 1, sizeof **ret);
    if (*ret == NULL)
        return no_memory(e);
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);

        rc = json_object_is_type(o, json_type_object)
                 ? member_get(o, a, &(*ret)[i], &promote, e)
                 : err_set(e, ERR_CORRUPT, "a member is not an object");
    }
    *ret_n = n;
    return rc;
}

int cluster_members_parse(struct bytes in, struct arena *a, struct cluster_member **ret,
                          size_t *ret_n, struct err *e)
{
    struct json_object *list = NULL;
    int rc = in.n > CLUSTER_JSON_BYTES_MAX ? err_set(e, ERR_LIMIT, "JSON of %zu bytes", in.n)
                                           : parse_as(in, json_type_array, &list, e);

    if (rc == 0)
        rc = members_get(list, a, ret, ret_n, e);
    json_object_put(list);
    return rc;
}

int cluster__downgrade_parse(struct bytes in, struct arena *a, struct cluster_downgrade *ret,
                             struct err *e)
{
    struct cluster_downgrade d = {.target = ""};
    struct json_object *o = NULL;
    int rc = parse(in, &o, e);

    if (rc == 0)
        rc = get_string(o, "target-version", a, &d.target, e);
    if (rc == 0)
        rc = get_bool(o, "enabled", &d.enabled, e);
    json_object_put(o);
    if (rc == 0)
        *ret = d;
    return rc;
}

int cluster__conf_state_parse(struct bytes in, struct arena *a, struct raft_conf_state *ret,
                              struct err *e)
{
    struct raft_conf_state cs = {0};
    struct json_object *o = NULL;
    int rc = parse(in, &o, e);

    if (rc == 0)
        rc = get_ids(o, "voters", a, &cs.voters, e);
    if (rc == 0)
        rc = get_ids(o, "learners", a, &cs.learners, e);
    if (rc == 0)
        rc = get_ids(o, "voters_outgoing", a, &cs.voters_outgoing, e);
    if (rc == 0)
        rc = get_ids(o, "learners_next", a, &cs.learners_next, e);
    if (rc == 0)
        rc = get_bool(o, "auto_leave", &cs.auto_leave, e);
    json_object_put(o);
    if (rc == 0)
        *ret = cs;
    return rc;
}
