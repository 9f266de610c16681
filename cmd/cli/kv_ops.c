#define _POSIX_C_SOURCE 200809L
#include "cli/kv_ops.h"

#include <ctype.h>
#include <time.h>

#include "cli/text.h"
#include "wire/wire.h"

#define KV_VALUE_BYTES_MAX ((size_t) INT32_MAX) /* what one message can carry */
#define KV_DEL_WAIT_S 2

const struct cli_flag kv_put_flags[KV_PUT_FLAG_COUNT] = {
    {.name = "lease",
     .type = CLI_STRING,
     .def = "0",
     .help = "lease ID (in hexadecimal) to attach to the key"},
    {.name = "prev-kv",
     .type = CLI_BOOL,
     .help = "return the previous key-value pair before modification"},
    {.name = "ignore-value", .type = CLI_BOOL, .help = "updates the key using its current value"},
    {.name = "ignore-lease", .type = CLI_BOOL, .help = "updates the key using its current lease"},
};

static const char *const consistency_values[] = {"l", "s", NULL};
static const char *const order_values[] = {"ASCEND", "DESCEND", NULL};
static const char *const sort_values[] = {"CREATE", "KEY", "MODIFY", "VALUE", "VERSION", NULL};

const struct cli_flag kv_get_flags[KV_GET_FLAG_COUNT] = {
    {.name = "consistency",
     .type = CLI_STRING,
     .def = "l",
     .values = consistency_values,
     .help = "read from a quorum (l, linearizable) or from one member (s, serializable)"},
    {.name = "order",
     .type = CLI_STRING,
     .values = order_values,
     .help = "sort the results: ASCEND or DESCEND"},
    {.name = "sort-by",
     .type = CLI_STRING,
     .values = sort_values,
     .help = "sort by CREATE, KEY, MODIFY, VALUE or VERSION"},
    {.name = "limit", .type = CLI_INT, .help = "most pairs to return; 0 for all"},
    {.name = "prefix", .type = CLI_BOOL, .help = "get all keys that begin with the given one"},
    {.name = "from-key",
     .type = CLI_BOOL,
     .help = "get all keys at or behind the given one, in byte order"},
    {.name = "rev", .type = CLI_INT, .help = "read at this revision of the store"},
    {.name = "keys-only", .type = CLI_BOOL, .help = "leave the values out"},
    {.name = "count-only", .type = CLI_BOOL, .help = "only the number of keys"},
    {.name = "print-value-only", .type = CLI_BOOL, .help = "print values without their keys"},
    {.name = "min-create-rev", .type = CLI_INT, .help = "no pair created before this revision"},
    {.name = "max-create-rev", .type = CLI_INT, .help = "no pair created behind this revision"},
    {.name = "min-mod-rev", .type = CLI_INT, .help = "no pair changed last before this revision"},
    {.name = "max-mod-rev", .type = CLI_INT, .help = "no pair changed last behind this revision"},
    {.name = "stream", .type = CLI_BOOL, .help = "take the answer in parts (RangeStream)"},
};

const struct cli_flag kv_del_flags[KV_DEL_FLAG_COUNT] = {
    {.name = "prefix", .type = CLI_BOOL, .help = "delete all keys that begin with the given one"},
    {.name = "prev-kv", .type = CLI_BOOL, .help = "return the deleted pairs"},
    {.name = "from-key",
     .type = CLI_BOOL,
     .help = "delete all keys at or behind the given one, in byte order"},
    {.name = "range", .type = CLI_BOOL, .help = "delete a range of keys without delay"},
};

int kv_wrong(struct err *e, enum ctl_status status, const char *fmt, ...)
{
    va_list ap;

    e->code = ERR_INVALID;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
    va_end(ap);
    return (int) status;
}

static const struct bytes zero_byte = {(const uint8_t *) "", 1};

struct bytes kv_prefix_end(struct bytes prefix, struct arena *a)
{
    size_t n = prefix.n;
    uint8_t *end;

    while (n > 0 && prefix.p[n - 1] == 0xff)
        n--;
    if (n == 0)
        return zero_byte;
    end = arena_dup(a, prefix.p, n);
    if (end == NULL)
        return zero_byte;
    end[n - 1]++;
    return bytes_of(end, n);
}

/* ---- put ---- */

static const char put_needs[] = "put command needs 1 argument and input from stdin or 2 arguments";

int kv_parse_lease(const char *s, int64_t *ret, struct err *e)
{
    return text_parse_int(s, 16, ret, e);
}

static int value_from_input(struct kv_input *in, struct arena *a, ProtobufCBinaryData *ret,
                            struct err *e)
{
    struct buf b;
    void *copy = NULL;

    buf_init(&b, KV_VALUE_BYTES_MAX);
    if (in->read_all(in, &b) && b.len > 0)
        copy = arena_dup(a, b.p, b.len);
    *ret = (ProtobufCBinaryData){copy == NULL ? 0 : b.len, copy};
    buf_done(&b);
    return copy != NULL ? 0 : kv_wrong(e, CTL_BAD_ARGS, "%s", put_needs);
}

int kv_put_request(const struct cli_call *c, struct kv_input *in, struct arena *a,
                   Etcdserverpb__PutRequest *ret, struct err *e)
{
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;
    bool ignore_value = cli_bool(c, "ignore-value");
    struct err why = ERR_INIT;
    int rc = 0;

    if (c->arg_count == 0)
        return kv_wrong(e, CTL_BAD_ARGS, "%s", put_needs);
    if (ignore_value && c->arg_count > 1)
        return kv_wrong(e, CTL_BAD_ARGS,
                        "put command needs only 1 argument when 'ignore-value' is set");
    r.key = wire_binary(cli_arg(c, 0));
    if (!ignore_value && c->arg_count > 1)
        r.value = wire_binary(cli_arg(c, 1));
    else if (!ignore_value)
        rc = value_from_input(in, a, &r.value, e);
    if (rc != 0)
        return rc;
    if (kv_parse_lease(cli_string(c, "lease"), &r.lease, &why) != 0)
        return kv_wrong(e, CTL_BAD_ARGS, "bad lease ID (%s), expecting ID in Hex", why.msg);
    r.prev_kv = cli_bool(c, "prev-kv");
    r.ignore_value = ignore_value;
    r.ignore_lease = cli_bool(c, "ignore-lease");
    *ret = r;
    return 0;
}

/* ---- ranges of get and del ---- */

static const char too_many[] = "too many arguments, only accept one argument when `--prefix` or "
                               "`--from-key` is set";
static const char choose_one[] =
    "`--prefix` and `--from-key` cannot be set at the same time, choose one";

/* Key and end from the arguments, --prefix and --from-key. */
static int range_of(const struct cli_call *c, struct arena *a, ProtobufCBinaryData *key,
                    ProtobufCBinaryData *end, struct err *e)
{
    bool prefix = cli_bool(c, "prefix");
    bool from_key = cli_bool(c, "from-key");
    struct bytes k = cli_arg(c, 0);

    if (c->arg_count > 1 && (prefix || from_key))
        return kv_wrong(e, CTL_BAD_ARGS, "%s", too_many);
    if (c->arg_count > 1)
        *end = wire_binary(cli_arg(c, 1));
    if (prefix)
        *end = wire_binary(k.n == 0 ? zero_byte : kv_prefix_end(k, a));
    if (from_key)
        *end = wire_binary(zero_byte);
    if ((prefix || from_key) && k.n == 0)
        k = zero_byte;
    *key = wire_binary(k);
    return 0;
}

static bool same_word(const char *a, const char *upper)
{
    while (*a != 0 && toupper((unsigned char) *a) == *upper) {
        a++;
        upper++;
    }
    return *a == 0 && *upper == 0;
}

struct choice {
    const char *word;
    int value;
};

static int choose(const struct choice *list, size_t n, const char *word, int *ret)
{
    for (size_t i = 0; i < n; i++) {
        if (same_word(word, list[i].word)) {
            *ret = list[i].value;
            return 0;
        }
    }
    return -1;
}

static int sorting(const struct cli_call *c, Etcdserverpb__RangeRequest *r, struct err *e)
{
    static const struct choice orders[] = {
        {"", ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE},
        {"ASCEND", ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND},
        {"DESCEND", ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND},
    };
    static const struct choice targets[] = {
        {"", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY},
        {"CREATE", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE},
        {"KEY", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY},
        {"MODIFY", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD},
        {"VALUE", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE},
        {"VERSION", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION},
    };
    const char *order = cli_string(c, "order");
    const char *target = cli_string(c, "sort-by");
    int o = 0;
    int t = 0;

    if (choose(orders, ARRAY_LEN(orders), order, &o) != 0)
        return kv_wrong(e, CTL_BAD_FEATURE, "bad sort order %s", order);
    if (choose(targets, ARRAY_LEN(targets), target, &t) != 0)
        return kv_wrong(e, CTL_BAD_FEATURE, "bad sort target %s", target);
    /* The server returns keys in ascending order anyway, and would fetch them all to sort them. */
    if (t == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY &&
        o == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND)
        o = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE;
    r->sort_order = (Etcdserverpb__RangeRequest__SortOrder) o;
    r->sort_target = (Etcdserverpb__RangeRequest__SortTarget) t;
    return 0;
}

static int revision_filters(const struct cli_call *c, Etcdserverpb__RangeRequest *r, struct err *e)
{
    r->min_create_revision = MAX(cli_int(c, "min-create-rev"), 0);
    r->max_create_revision = MAX(cli_int(c, "max-create-rev"), 0);
    r->min_mod_revision = MAX(cli_int(c, "min-mod-rev"), 0);
    r->max_mod_revision = MAX(cli_int(c, "max-mod-rev"), 0);
    if (r->max_create_revision > 0 && r->min_create_revision > r->max_create_revision)
        return kv_wrong(e, CTL_BAD_FEATURE,
                        "getMinCreateRev(=%" PRId64 ") > getMaxCreateRev(=%" PRId64 ")",
                        r->min_create_revision, r->max_create_revision);
    if (r->max_mod_revision > 0 && r->min_mod_revision > r->max_mod_revision)
        return kv_wrong(e, CTL_BAD_FEATURE,
                        "getMinModRev(=%" PRId64 ") > getMaxModRev(=%" PRId64 ")",
                        r->min_mod_revision, r->max_mod_revision);
    return 0;
}

static int consistency(const struct cli_call *c, Etcdserverpb__RangeRequest *r, struct err *e)
{
    const char *word = cli_string(c, "consistency");
    struct buf q;

    r->serializable = strcmp(word, "s") == 0;
    if (r->serializable || strcmp(word, "l") == 0)
        return 0;
    buf_init(&q, ERR_MSG_BYTES);
    text_quote(&q, bytes_str(word));
    kv_wrong(e, CTL_BAD_FEATURE, "unknown consistency flag %s", buf_cstr(&q));
    buf_done(&q);
    return CTL_BAD_FEATURE;
}

int kv_get_request(const struct cli_call *c, struct arena *a, Etcdserverpb__RangeRequest *ret,
                   struct err *e)
{
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;
    int rc;

    if (c->arg_count == 0)
        return kv_wrong(e, CTL_BAD_ARGS,
                        "get command needs one argument as key and an optional argument as "
                        "range_end");
    if (cli_bool(c, "prefix") && cli_bool(c, "from-key"))
        return kv_wrong(e, CTL_BAD_ARGS, "%s", choose_one);
    r.keys_only = cli_bool(c, "keys-only");
    r.count_only = cli_bool(c, "count-only");
    if (r.keys_only && r.count_only)
        return kv_wrong(e, CTL_BAD_ARGS,
                        "`--keys-only` and `--count-only` cannot be set at the same time, choose "
                        "one");
    rc = consistency(c, &r, e);
    if (rc == 0)
        rc = range_of(c, a, &r.key, &r.range_end, e);
    if (rc == 0)
        rc = sorting(c, &r, e);
    if (rc == 0)
        rc = revision_filters(c, &r, e);
    r.limit = cli_int(c, "limit");
    r.revision = MAX(cli_int(c, "rev"), 0);
    *ret = r;
    return rc;
}

/* ---- del ---- */

int kv_del_request(const struct cli_call *c, struct arena *a, Etcdserverpb__DeleteRangeRequest *ret,
                   bool *ret_warn, struct err *e)
{
    Etcdserverpb__DeleteRangeRequest r = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    int rc;

    if (c->arg_count == 0 || c->arg_count > 2)
        return kv_wrong(e, CTL_BAD_ARGS,
                        "del command needs one argument as key and an optional argument as "
                        "range_end");
    if (cli_bool(c, "prefix") && cli_bool(c, "from-key"))
        return kv_wrong(e, CTL_BAD_ARGS, "%s", choose_one);
    rc = range_of(c, a, &r.key, &r.range_end, e);
    r.prev_kv = cli_bool(c, "prev-kv");
    *ret = r;
    *ret_warn = c->arg_count > 1 && !cli_bool(c, "range");
    return rc;
}

void kv_del_wait(const struct cli_call *c)
{
    struct timespec wait = {.tv_sec = KV_DEL_WAIT_S};
    struct buf b;

    buf_init(&b, CLI_PAGE_BYTES_MAX);
    buf_add_str(&b, "Warning: Keys between ");
    text_quote(&b, cli_arg(c, 0));
    buf_add_str(&b, " and ");
    text_quote(&b, cli_arg(c, 1));
    buf_printf(&b,
               " will be deleted. Please interrupt the command within next %d seconds to cancel. "
               "You can provide `--range` flag to avoid the delay.\n",
               KV_DEL_WAIT_S);
    cli_write(stderr, &b);
    buf_done(&b);
    nanosleep(&wait, NULL);
}
