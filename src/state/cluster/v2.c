#include "etcdserver.pb-c.h"
#include "state/cluster/cluster_int.h"
#include "wire/pb.h"
#include "wire/wire.h"

#define MEMBERS_PREFIX "/0/members/"
#define ATTRIBUTES_SUFFIX "/attributes"
#define VERSION_PATH "/0/version"

/* The same field 2 is a method in a v2 Request, and a message in an InternalRaftRequest: none of
 * these words is a message of a kind that was ever written there. */
static bool is_method(struct bytes s)
{
    static const char *const methods[] = {"PUT", "POST", "DELETE", "QGET", "SYNC"};

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (bytes_eq(s, bytes_str(methods[i])))
            return true;
    }
    return false;
}

bool cluster_is_v2_request(struct bytes data)
{
    struct pb_reader r = pb_reader_of(data);
    struct pb_field f;

    while (pb_next(&r, &f)) {
        if (f.number == 2)
            return f.type == PB_LEN && is_method(f.bytes);
        if (f.number > 2)
            return false;
    }
    return false;
}

/* "/0/members/<id>/attributes" */
static bool attributes_path(const char *path, uint64_t *ret_id)
{
    size_t n = strlen(path), prefix = sizeof MEMBERS_PREFIX - 1,
           suffix = sizeof ATTRIBUTES_SUFFIX - 1;

    if (n <= prefix + suffix || strncmp(path, MEMBERS_PREFIX, prefix) != 0 ||
        strcmp(path + n - suffix, ATTRIBUTES_SUFFIX) != 0)
        return false;
    return cluster_id_parse(bytes_of(path + prefix, n - prefix - suffix), ret_id);
}

int cluster_v2_request_get(struct bytes data, struct arena *a, struct cluster_v2_request *ret,
                           struct err *e)
{
    struct cluster_v2_request q = {.kind = CLUSTER_V2_OTHER, .name = ""};
    struct cluster_member m;
    Etcdserverpb__Request *r;
    const char *path, *value;
    bool ignored;
    int rc = WIRE_DECODE(etcdserverpb__request, data, a, &r, e);

    if (rc != 0)
        return err_wrap(e, rc, "read v2 request");
    q.id = r->id;
    path = r->path == NULL ? "" : r->path;
    value = r->val == NULL ? "" : r->val;
    if (r->method == NULL || strcmp(r->method, "PUT") != 0) {
        *ret = q;
        return 0;
    }
    if (attributes_path(path, &q.member_id)) {
        rc = cluster__member_parse(bytes_str(value), a, &m, &ignored, e);
        if (rc != 0)
            return err_wrap(e, rc, "read v2 request for %s", path);
        q.kind = CLUSTER_V2_ATTRIBUTES;
        q.name = m.name;
        q.client_urls = m.client_urls;
    } else if (strcmp(path, VERSION_PATH) == 0) {
        if (!cluster_version_parse(bytes_str(value), &q.version))
            return err_set(e, ERR_CORRUPT, "read v2 request: \"%s\" is no version", value);
        q.kind = CLUSTER_V2_VERSION;
    }
    *ret = q;
    return 0;
}
