/* config_rotation.c -- --log-rotation-config-json, with the words of Go's encoding/json for what is
 * wrong with it. */
#include <json-c/json.h>
#include <strings.h>

#include "edge/server/config.h"
#include "wire/json.h"

#define MEGABYTE (UINT64_C(1) << 20)
#define MAX_MEGABYTES_DEFAULT 100

/* What the keys say, before it is given its meaning. */
struct values {
    int64_t maxsize, maxage, maxbackups;
    bool localtime, compress;
};

static const struct key {
    const char *name;
    json_type type;
    const char *go_type;
    size_t offset; /* in struct values; filename is read and means nothing */
} keys[] = {
    {"maxsize", json_type_int, "int", offsetof(struct values, maxsize)},
    {"maxage", json_type_int, "int", offsetof(struct values, maxage)},
    {"maxbackups", json_type_int, "int", offsetof(struct values, maxbackups)},
    {"localtime", json_type_boolean, "bool", offsetof(struct values, localtime)},
    {"compress", json_type_boolean, "bool", offsetof(struct values, compress)},
    {"filename", json_type_string, "string", 0},
};

static const char *go_name(json_type t)
{
    switch (t) {
    case json_type_boolean:
        return "bool";
    case json_type_string:
        return "string";
    case json_type_array:
        return "array";
    case json_type_object:
        return "object";
    case json_type_int:
    case json_type_double:
        return "number";
    case json_type_null:
        break;
    }
    UNREACHABLE();
}

static int wrong_type(const struct key *k, struct json_object *v, struct err *e)
{
    bool shown = k->type == json_type_int &&
                 strcmp(go_name(json_object_get_type(v)), "number") == 0;

    return err_set(
        e, ERR_INVALID,
        "invalid log rotation config: json: cannot unmarshal %s%s%.64s into Go struct field "
        "logRotationConfig.Logger.%s of type %s",
        go_name(json_object_get_type(v)), shown ? " " : "", shown ? json_object_get_string(v) : "",
        k->name, k->go_type);
}

static int take(struct values *to, const struct key *k, struct json_object *v, struct err *e)
{
    void *at = (uint8_t *) to + k->offset;

    if (v == NULL)
        return 0; /* null leaves what is there */
    if (!json_object_is_type(v, k->type) ||
        (k->type == json_type_int &&
         (json_object_get_int64(v) == INT64_MAX || json_object_get_int64(v) == INT64_MIN)))
        return wrong_type(k, v, e);
    if (k->type == json_type_int)
        *(int64_t *) at = json_object_get_int64(v);
    else if (k->type == json_type_boolean)
        *(bool *) at = json_object_get_boolean(v);
    return 0;
}

static int take_all(struct values *to, struct json_object *o, struct err *e)
{
    int rc = 0;

    if (o != NULL && !json_object_is_type(o, json_type_object))
        return err_set(
            e, ERR_INVALID,
            "invalid log rotation config: json: cannot unmarshal %s into Go value of type "
            "embed.logRotationConfig",
            go_name(json_object_get_type(o)));
    if (o == NULL)
        return 0;
    json_object_object_foreach(o, name, v)
    {
        for (size_t i = 0; i < ARRAY_LEN(keys) && rc == 0; i++) {
            if (strcasecmp(name, keys[i].name) == 0)
                rc = take(to, &keys[i], v, e);
        }
    }
    return rc;
}

/* One value, and nothing but blanks behind it. */
static int check_syntax(const char *text, struct err *e)
{
    struct json_scan scan;
    struct bytes in = bytes_str(text);
    size_t used;
    enum json_scanned r;

    json_scan_init(&scan);
    r = json_scan(&scan, in, &used);
    if (r == JSON_SCAN_MORE) {
        used = in.n;
        r = json_scan_end(&scan);
    }
    if (r == JSON_SCAN_BAD && strcmp(scan.text, "unexpected EOF") != 0)
        return err_set(e, ERR_INVALID, "improperly formatted log rotation config: %s", scan.text);
    if (r != JSON_SCAN_DONE)
        return err_set(e, ERR_INVALID,
                       "improperly formatted log rotation config: unexpected end of JSON input");
    text += used + strspn(text + used, " \t\r\n");
    if (*text != 0)
        return err_set(e, ERR_INVALID,
                       "improperly formatted log rotation config: invalid character '%c' after "
                       "top-level value",
                       *text);
    return 0;
}

int config_rotation_parse(const char *text, struct log_rotation *ret, struct err *e)
{
    struct values v = {0};
    struct json_object *o;
    int rc = check_syntax(text, e);

    if (rc != 0)
        return rc;
    o = json_tokener_parse(text);
    rc = take_all(&v, o, e);
    json_object_put(o);
    if (rc != 0)
        return rc;
    if (v.maxsize <= 0 || v.maxsize > INT64_MAX / (int64_t) MEGABYTE)
        v.maxsize = MAX_MEGABYTES_DEFAULT;
    *ret = (struct log_rotation){.max_bytes = (uint64_t) v.maxsize * MEGABYTE,
                                 .max_age_days = (unsigned) MIN(MAX(v.maxage, 0), INT32_MAX),
                                 .max_backups = (unsigned) MIN(MAX(v.maxbackups, 0), INT32_MAX),
                                 .local_time = v.localtime,
                                 .compress = v.compress};
    return 0;
}
