/* --feature-gates: names, stages and the list syntax. */
#include "edge/server/config.h"
#include "edge/server/goparse.h"

const struct config_gate_info config_gates_known[] = {
    {"AllAlpha", false, false},
    {"AllBeta", true, false},
    {"CompactHashCheck", false, false},
    {"FastLeaseKeepAlive", true, true},
    {"InitialCorruptCheck", false, false},
    {"LeaseCheckpoint", false, false},
    {"LeaseCheckpointPersist", false, false},
    {"PriorityRequest", false, false},
    {"SetMemberLocalAddr", false, false},
    {"StopGRPCServiceOnDefrag", false, false},
    {"TxnModeWriteWithSharedBuffer", true, true},
};

const size_t config_gates_known_n = ARRAY_LEN(config_gates_known);

static const struct config_gate_info *find(struct bytes name)
{
    for (size_t i = 0; i < config_gates_known_n; i++) {
        if (bytes_eq(name, bytes_str(config_gates_known[i].name)))
            return &config_gates_known[i];
    }
    return NULL;
}

static struct bytes trim(struct bytes s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = bytes_of(s.p + 1, s.n - 1);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* The next item of "A=true, B=false"; false at the end.  `value.p` is NULL without an equals sign.
 */
static bool next(const char **s, struct bytes *name, struct bytes *value)
{
    while (**s != 0) {
        struct bytes item = bytes_of(*s, strcspn(*s, ","));
        const uint8_t *eq;

        *s += item.n + ((*s)[item.n] == ',');
        item = trim(item);
        if (item.n == 0)
            continue;
        eq = memchr(item.p, '=', item.n);
        if (eq == NULL) {
            *name = item;
            *value = BYTES_EMPTY;
        } else {
            *name = trim(bytes_of(item.p, (size_t) (eq - item.p)));
            *value = trim(bytes_of(eq + 1, item.n - (size_t) (eq + 1 - item.p)));
        }
        return true;
    }
    return false;
}

static int bool_of(struct bytes value, bool *ret)
{
    char text[8] = "";

    if (value.n >= sizeof text)
        return ERR_INVALID;
    memcpy(text, value.p, value.n);
    return go_bool_parse(text, ret, NULL);
}

int config_gates_check(const char *s, struct err *e)
{
    struct bytes name, value;
    bool on;

    while (next(&s, &name, &value)) {
        if (value.p == NULL)
            return err_set(e, ERR_INVALID, "missing bool value for %.*s", (int) name.n,
                           (const char *) name.p);
        if (bool_of(value, &on) != 0)
            return err_set(e, ERR_INVALID,
                           "invalid value of %.*s=%.*s, err: strconv.ParseBool: parsing \"%.*s\": "
                           "invalid syntax",
                           (int) name.n, (const char *) name.p, (int) value.n,
                           (const char *) value.p, (int) value.n, (const char *) value.p);
        if (find(name) == NULL)
            return err_set(e, ERR_INVALID, "unrecognized feature gate: %.*s", (int) name.n,
                           (const char *) name.p);
    }
    return 0;
}

/* The last word about exactly this name; false when it is not named. */
static bool named(const char *s, const char *gate, bool *ret)
{
    struct bytes name, value;
    bool found = false;

    while (next(&s, &name, &value)) {
        if (value.p != NULL && bytes_eq(name, bytes_str(gate)) && bool_of(value, ret) == 0)
            found = true;
    }
    return found;
}

bool config_gate(const struct config *c, const char *name)
{
    const struct config_gate_info *g = find(bytes_str(name));
    bool on, all;

    ASSERT(g != NULL);
    if (named(c->feature_gates, name, &on))
        return on;
    if (named(c->feature_gates, g->beta ? "AllBeta" : "AllAlpha", &all))
        return all;
    return g->dflt;
}
