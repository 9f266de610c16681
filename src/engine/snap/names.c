#include "engine/snap/snap_int.h"

int snap__path(const char *dir, const char *name, char ret[SNAP_PATH_BYTES], struct err *e)
{
    int n = snprintf(ret, SNAP_PATH_BYTES, "%s/%s", dir, name);

    ASSERT(n > 0);
    if (n >= SNAP_PATH_BYTES)
        return err_set(e, ERR_LIMIT, "path %s/%s is too long", dir, name);
    return 0;
}

/* Exactly 16 lower-case hex digits; NULL, or the address behind them. */
static const char *hex16(const char *s, uint64_t *ret)
{
    uint64_t v = 0;

    for (int i = 0; i < SNAP__HEX_DIGITS; i++, s++) {
        if (*s >= '0' && *s <= '9')
            v = v << 4 | (uint64_t) (*s - '0');
        else if (*s >= 'a' && *s <= 'f')
            v = v << 4 | (uint64_t) (*s - 'a' + 10);
        else
            return NULL;
    }
    *ret = v;
    return s;
}

bool snap__name_parse(const char *name, struct snap_position *ret)
{
    struct snap_position x;
    const char *s = hex16(name, &x.term);

    if (s == NULL || *s != '-')
        return false;
    s = hex16(s + 1, &x.index);
    if (s == NULL || strcmp(s, SNAP__SUFFIX) != 0)
        return false;
    *ret = x;
    return true;
}

bool snap__db_name_parse(const char *name, raft_index *ret)
{
    raft_index index;
    const char *s = hex16(name, &index);

    if (s == NULL || strcmp(s, SNAP__DB_SUFFIX) != 0)
        return false;
    *ret = index;
    return true;
}

void snap__name_format(struct snap_position x, char ret[SNAP__NAME_BYTES])
{
    int n = snprintf(ret, SNAP__NAME_BYTES, "%016" PRIx64 "-%016" PRIx64 SNAP__SUFFIX, x.term,
                     x.index);

    ASSERT(n > 0);
    ASSERT(n < SNAP__NAME_BYTES);
}

void snap__db_name_format(raft_index index, char ret[SNAP__NAME_BYTES])
{
    int n = snprintf(ret, SNAP__NAME_BYTES, "%016" PRIx64 SNAP__DB_SUFFIX, index);

    ASSERT(n > 0);
    ASSERT(n < SNAP__NAME_BYTES);
}
