/* method.c -- the unary methods: what calls need to know of each. */
#include <v3lock.pb-c.h>

#include "client/client_int.h"

#define PATH_PREFIX "/etcdserverpb."

static const struct client_method methods[] = {
#define X(name, req, res, desc, path, repeat) \
    [KETCH_METHOD_##name] = {PATH_PREFIX path, &etcdserverpb__##desc##__descriptor, repeat},
    KETCH_METHOD_MAP(X)
#undef X
#define X(name, desc, path) [KETCH_METHOD_##name] = {path, &v3lockpb__##desc##__descriptor, false},
        KETCH_LOCK_METHOD_MAP(X)
#undef X
};

const struct client_method *client__method(enum ketch_method m)
{
    ASSERT(m < KETCH_METHOD_COUNT);
    return &methods[m];
}
