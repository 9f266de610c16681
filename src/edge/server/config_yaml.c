/* The configuration file: YAML (JSON is a part of it), read with libyaml into a tree and from there
 * by the table.
 *
 * What etcd reads goes through JSON into typed fields, so the types count: a number where a text
 * belongs is refused, durations are whole nanoseconds, and keys match without regard to case.
 * Aliases cannot blow the tree up: only the keys of the table are looked at, each once. */
#include <strings.h>
#include <yaml.h>

#include "base/buf.h"
#include "edge/server/config.h"
#include "edge/server/goparse.h"

enum scalar { IS_NULL, IS_BOOL, IS_NUMBER, IS_STRING, IS_ARRAY, IS_OBJECT };

static const char *const KINDS[] = {"null", "bool", "number", "string", "array", "object"};

static bool among(const char *s, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(s, *words) == 0)
            return true;
    }
    return false;
}

static bool is_number(const char *s)
{
    int64_t i;
    char *end;

    if (go_int_parse(s, &i, NULL) == 0)
        return true;
    if (s[strspn(s, "+-0123456789.eE")] != 0 || s[strcspn(s, "0123456789")] == 0)
        return false;
    strtod(s, &end);
    return *end == 0;
}

/* What a node is to Go's YAML library (YAML 1.1's words). */
static enum scalar kind_of(const yaml_node_t *n)
{
    static const char *const null[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const boolean[] = {
        "true", "True", "TRUE", "false", "False", "FALSE", "yes", "Yes", "YES", "no", "No", "NO",
        "on",   "On",   "ON",   "off",   "Off",   "OFF",   "y",   "Y",   "n",   "N",  NULL};
    const char *s;

    if (n->type == YAML_SEQUENCE_NODE)
        return IS_ARRAY;
    if (n->type == YAML_MAPPING_NODE)
        return IS_OBJECT;
    if (n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return IS_STRING;
    s = (const char *) n->data.scalar.value;
    if (among(s, null))
        return IS_NULL;
    if (among(s, boolean))
        return IS_BOOL;
    return is_number(s) ? IS_NUMBER : IS_STRING;
}

static const char *text_of(const yaml_node_t *n)
{
    return (const char *) n->data.scalar.value;
}

/* The value of the nested key "a.b.c"; NULL when absent.  The last of equal keys counts. */
static yaml_node_t *lookup(yaml_document_t *doc, yaml_node_t *map, const char *key)
{
    size_t n = strcspn(key, ".");
    yaml_node_t *found = NULL;

    if (map == NULL || map->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        yaml_node_t *k = yaml_document_get_node(doc, p->key);

        if (k->type == YAML_SCALAR_NODE && k->data.scalar.length == n &&
            strncasecmp(text_of(k), key, n) == 0)
            found = yaml_document_get_node(doc, p->value);
    }
    return key[n] == 0 || found == NULL ? found : lookup(doc, found, key + n + 1);
}

/* Keys that hold others, the inner ones first: etcd's words name the structure in which a wrong
 * value is, and the type of a section that is none. */
static const struct section {
    const char *key;
    const char *in;   /* the structure that has it as a field */
    const char *type; /* of itself */
    const char *name; /* without the package */
    const char *base; /* through which the outermost structure has it */
} sections[] = {
    {"client-transport-security", "configYAML", "embed.securityConfig", "securityConfig",
     "configJSON"},
    {"peer-transport-security", "configYAML", "embed.securityConfig", "securityConfig",
     "configJSON"},
    {"discovery-config.client.secure", "ConfigSpec", "clientv3.SecureConfig", "SecureConfig",
     "Config"},
    {"discovery-config.client.auth", "ConfigSpec", "clientv3.AuthConfig", "AuthConfig", "Config"},
    {"discovery-config.client", "DiscoveryConfig", "clientv3.ConfigSpec", "ConfigSpec", "Config"},
    {"discovery-config", "configYAML", "v3discovery.DiscoveryConfig", "DiscoveryConfig", "Config"},
    {"socket-options", "configYAML", "transport.SocketOpts", "SocketOpts", "Config"},
};

static int cannot_unmarshal(enum scalar is, const char *in, const char *base, const char *key,
                            const char *want, struct err *e)
{
    return err_set(e, ERR_INVALID,
                   "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal %s into "
                   "Go struct field %s.%s.%s of type %s",
                   KINDS[is], in, base, key, want);
}

static int check_sections(yaml_document_t *doc, yaml_node_t *root, struct err *e)
{
    for (size_t i = ARRAY_LEN(sections); i-- > 0;) {
        const struct section *s = &sections[i];
        const yaml_node_t *n = lookup(doc, root, s->key);

        if (n != NULL && kind_of(n) == IS_NULL && strcmp(s->key, "peer-transport-security") == 0)
            return err_set(e, ERR_INVALID, "invalid peer-transport-security");
        if (n != NULL && kind_of(n) != IS_NULL && kind_of(n) != IS_OBJECT)
            return cannot_unmarshal(kind_of(n), s->in, s->base, s->key, s->type, e);
    }
    return 0;
}

static int wrong_type(const struct config_field *f, enum scalar is, const char *want, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        const struct section *s = &sections[i];
        size_t n = strlen(s->key);

        if (strncmp(f->key, s->key, n) == 0 && f->key[n] == '.')
            return cannot_unmarshal(is, s->name, s->base, f->key, want, e);
    }
    return cannot_unmarshal(is, "configYAML", "Config", f->key, want, e);
}

/* The items of a YAML list, joined by commas as on the command line. */
static int set_sequence(struct config *c, size_t i, yaml_document_t *doc, const yaml_node_t *n,
                        struct err *e)
{
    const struct config_field *f = &config_fields[i];
    struct buf all;
    bool first = true;
    int rc = 0;

    if (n->data.sequence.items.start == n->data.sequence.items.top) {
        *(struct strings *) ((char *) c + f->offset) = (struct strings){0};
        return 0;
    }
    buf_init(&all, CONFIG_FILE_BYTES_MAX);
    for (yaml_node_item_t *it = n->data.sequence.items.start;
         it < n->data.sequence.items.top && rc == 0; it++, first = false) {
        yaml_node_t *item = yaml_document_get_node(doc, *it);
        bool none = f->type == CONFIG_TYPE_NAMES && kind_of(item) == IS_NULL;

        if (kind_of(item) != IS_STRING && !none) {
            rc = wrong_type(f, kind_of(item), "string", e);
            break;
        }
        if (f->type == CONFIG_TYPE_NAMES ? !first : all.len > 0)
            buf_add_char(&all, ',');
        buf_add_str(&all, none ? "" : text_of(item));
    }
    if (rc == 0 && all.failed)
        rc = err_set(e, ERR_LIMIT, "list of %s is too long", f->key);
    if (rc == 0)
        rc = config_set(c, i, buf_cstr(&all), e);
    buf_done(&all);
    return rc;
}

static int set_duration(struct config *c, const struct config_field *f, const yaml_node_t *n,
                        struct err *e)
{
    int64_t *to = (int64_t *) ((char *) c + f->offset);

    if (kind_of(n) != IS_NUMBER || go_int_parse(text_of(n), to, NULL) != 0)
        return wrong_type(f, kind_of(n), "time.Duration", e);
    return 0;
}

/* The kind of node and the name of the Go type that a field demands. */
static enum scalar demanded(enum config_type t, const char **ret_name)
{
    switch (t) {
    case CONFIG_TYPE_BOOL:
        *ret_name = "bool";
        return IS_BOOL;
    case CONFIG_TYPE_UINT:
        *ret_name = "uint";
        return IS_NUMBER;
    case CONFIG_TYPE_UINT64:
        *ret_name = "uint64";
        return IS_NUMBER;
    case CONFIG_TYPE_UINT32:
        *ret_name = "uint32";
        return IS_NUMBER;
    case CONFIG_TYPE_INT:
        *ret_name = "int";
        return IS_NUMBER;
    case CONFIG_TYPE_INT64:
        *ret_name = "int64";
        return IS_NUMBER;
    default:
        *ret_name = "string";
        return IS_STRING;
    }
}

static bool is_yes(const char *s)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes", "YES",
                                      "on",   "On",   "ON",   "y",   "Y",   NULL};

    return among(s, yes);
}

static int set_node(struct config *c, size_t i, yaml_document_t *doc, const yaml_node_t *n,
                    bool *ret_plain, struct err *e)
{
    const struct config_field *f = &config_fields[i];
    const char *want;
    enum scalar need = demanded(f->type, &want), is = kind_of(n);
    bool list = (f->type == CONFIG_TYPE_STRINGS && i != CONFIG_host_whitelist) ||
                f->type == CONFIG_TYPE_NAMES;
    int rc;

    if (f->type == CONFIG_TYPE_DURATION)
        return set_duration(c, f, n, e);
    /* emulated-version is a text, but everybody would write it without quotes. */
    if (f->type == CONFIG_TYPE_LEVEL && is == IS_NUMBER)
        is = IS_STRING;
    if (list)
        return is == IS_ARRAY ? set_sequence(c, i, doc, n, e) : wrong_type(f, is, "[]string", e);
    if (is != need)
        return wrong_type(f, is, want, e);
    if (is == IS_BOOL) {
        *(bool *) ((char *) c + f->offset) = is_yes(text_of(n));
        return 0;
    }
    if (i == CONFIG_initial_cluster_state && *text_of(n) == 0)
        return 0;
    rc = config_set(c, i, text_of(n), e);
    if (rc == 0)
        return 0;
    if (f->type == CONFIG_TYPE_URLS || f->type == CONFIG_TYPE_ORIGINS) {
        *ret_plain = true;
        return err_wrap(e, rc, "unexpected error setting up %s",
                        i == CONFIG_advertise_client_urls ? "advertise-peer-urls" : f->key);
    }
    if (i == CONFIG_initial_cluster_state)
        return err_set(e, rc, "unexpected clusterState \"%s\"", text_of(n));
    if (need == IS_NUMBER)
        return err_set(
            e, rc,
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal number "
            "%s into Go struct field configYAML.Config.%s of type %s",
            text_of(n), f->key, want);
    return rc;
}

static int apply(struct config *c, yaml_document_t *doc, bool *ret_plain, struct err *e)
{
    yaml_node_t *root = yaml_document_get_root_node(doc);
    int rc = 0;

    if (root == NULL || (root->type == YAML_SCALAR_NODE && kind_of(root) == IS_NULL))
        return 0; /* an empty file */
    if (root->type != YAML_MAPPING_NODE)
        return err_set(e, ERR_INVALID,
                       "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal %s "
                       "into Go value of type embed.configYAML",
                       KINDS[kind_of(root)]);
    for (size_t i = 0; i < CONFIG_KEYS_N && rc == 0; i++) {
        yaml_node_t *n = config_fields[i].key == NULL ? NULL
                                                      : lookup(doc, root, config_fields[i].key);

        if (n == NULL || kind_of(n) == IS_NULL)
            continue;
        rc = set_node(c, i, doc, n, ret_plain, e);
        c->given[i] = true;
    }
    if (rc == 0)
        rc = check_sections(doc, root, e);
    if (rc != 0)
        return rc;
    if (c->self_signed_cert_validity == 0)
        c->self_signed_cert_validity = 1;
    return 0;
}

int config_parse_yaml(struct config *c, struct bytes yaml, bool *ret_plain, struct err *e)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    int rc;

    *ret_plain = false;
    if (yaml.n > CONFIG_FILE_BYTES_MAX)
        return err_set(e, ERR_LIMIT, "larger than %d bytes", CONFIG_FILE_BYTES_MAX);
    if (!yaml_parser_initialize(&parser))
        return err_set(e, ERR_NOMEM, "out of memory");
    yaml_parser_set_input_string(&parser, yaml.p, yaml.n);
    if (!yaml_parser_load(&parser, &doc)) {
        rc = err_set(e, ERR_INVALID, "error converting YAML to JSON: yaml: line %zu: %s",
                     parser.problem_mark.line + 1,
                     parser.problem == NULL ? "cannot be read" : parser.problem);
        yaml_parser_delete(&parser);
        return rc;
    }
    rc = apply(c, &doc, ret_plain, e);
    yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    return rc;
}
