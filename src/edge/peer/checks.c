/* checks.c -- who asks, and whether it may: the fields of requests between members, and their
 * checks (etcd's rafthttp, util.go). */
#include "edge/peer/peer_int.h"

#define VERSION_MIN "3.0.0"
#define VERSION_OLD CLUSTER_VERSION(2, 0) /* of one that does not say */

void peer__fields(const struct peer_server *ps, const struct peer *to, struct peer_fields *ret)
{
    ret->n = 0;
    ret->f[ret->n++] = (struct http_field){"X-Server-From", ps->hex};
    ret->f[ret->n++] = (struct http_field){"X-Server-Version", ps->o.version};
    ret->f[ret->n++] = (struct http_field){"X-Min-Cluster-Version", VERSION_MIN};
    ret->f[ret->n++] = (struct http_field){"X-Etcd-Cluster-ID", ps->cluster_hex};
    ret->f[ret->n++] = (struct http_field){"X-PeerURLs", ps->own_urls};
    if (to != NULL) {
        memcpy(ret->to, to->hex, sizeof ret->to);
        ret->f[ret->n++] = (struct http_field){"X-Raft-To", ret->to};
    }
}

void peer__answer(struct http_req *r, const struct peer_server *ps, int status, const char *text)
{
    const struct http_field f[] = {{"Content-Type", "text/plain; charset=utf-8"},
                                   {"X-Content-Type-Options", "nosniff"},
                                   {"X-Server-Version", ps->o.version},
                                   {"X-Etcd-Cluster-ID", ps->cluster_hex}};
    char line[256];
    int n = snprintf(line, sizeof line, "%s\n", text);

    http_respond(r, status, f, ARRAY_LEN(f), bytes_of(line, (size_t) MIN(n, 255)));
}

/* A field with a version; one that is absent or unreadable counts as 2.0.0. */
static cluster_version version_field(const struct http_req *r, const char *name)
{
    struct bytes v;
    cluster_version ret;

    return http_header(r, name, &v) && cluster_version_parse(v, &ret) ? ret : VERSION_OLD;
}

bool peer__compatible(struct http_req *r, struct peer_server *ps)
{
    cluster_version own, min, theirs = version_field(r, "x-server-version");
    cluster_version their_min = version_field(r, "x-min-cluster-version");
    struct bytes id;

    if (!cluster_version_parse(bytes_str(ps->o.version), &own) ||
        !cluster_version_parse(BYTES_LIT(VERSION_MIN), &min))
        UNREACHABLE();
    if (theirs < min || their_min > own) {
        LOG_WARN(ps->o.log, "request version incompatibility", F_STR("local-member-id", ps->hex),
                 F_STR("local-member-cluster-id", ps->cluster_hex),
                 F_STR("local-member-server-version", ps->o.version),
                 F_STR("remote-peer-address", http_peer(r)));
        peer__answer(r, ps, 412, "incompatible version");
        return false;
    }
    if (!http_header(r, "x-etcd-cluster-id", &id) || !bytes_eq(id, bytes_str(ps->cluster_hex))) {
        LOG_WARN(ps->o.log, "request cluster ID mismatch", F_STR("local-member-id", ps->hex),
                 F_STR("local-member-cluster-id", ps->cluster_hex),
                 F_STR("local-member-server-version", ps->o.version),
                 F_STR("remote-peer-address", http_peer(r)));
        peer__answer(r, ps, 412, "cluster ID mismatch");
        return false;
    }
    return true;
}

void peer__note_sender(struct http_req *r, struct peer_server *ps)
{
    struct bytes from, urls;
    raft_id id;

    if (http_header(r, "x-server-from", &from) && cluster_id_parse(from, &id) &&
        http_header(r, "x-peerurls", &urls) && urls.n > 0)
        peer__add_remote(ps, id, urls);
}
