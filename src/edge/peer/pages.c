/* pages.c -- which page of a peer port answers what. */
#include "edge/peer/peer_int.h"

#define STREAM_PREFIX "/raft/stream/"
#define PROMOTE_PREFIX "/members/promote/"
#define MEMBERS_BYTES_MAX ((size_t) 64 << 20)

/* ---- what anyone may ask ---- */

static const char *version_text(uint32_t v, const char *unknown, char ret[24])
{
    if (v == 0)
        return unknown;
    snprintf(ret, 24, "%u.%u.0", (unsigned) (v >> 16), (unsigned) (v & 0xffff));
    return ret;
}

static void respond(struct http_req *r, const char *type, const char *body)
{
    const struct http_field f[] = {{"Content-Type", type}};

    http_respond(r, 200, f, ARRAY_LEN(f), bytes_str(body));
}

static void version_page(struct http_req *r, struct peer_server *ps)
{
    struct node_status st;
    char body[256], cluster[24], storage[24];

    node_status(ps->node, &st);
    snprintf(body, sizeof body, "{\"etcdserver\":\"%s\",\"etcdcluster\":\"%s\",\"storage\":\"%s\"}",
             ps->o.version, version_text(st.cluster_version, "not_decided", cluster),
             version_text(st.storage_version, "unknown", storage));
    respond(r, "application/json", body);
}

/* Seconds since 1970 as RFC 3339 (H. Hinnant, "chrono-compatible low-level date algorithms"). */
static void rfc3339(wall_ms wall, char *ret, size_t n)
{
    int64_t s = wall / 1000, z = s / 86400 + 719468, era = z / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int month = (int) (mp < 10 ? mp + 3 : mp - 9);

    snprintf(ret, n, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int) (yoe + era * 400 + (month <= 2)),
             month, (int) (doy - (153 * mp + 2) / 5 + 1), (int) (s % 86400 / 3600),
             (int) (s % 3600 / 60), (int) (s % 60), (int) (wall % 1000));
}

static void probing_page(struct http_req *r, struct peer_server *ps)
{
    char now[32], body[64];

    rfc3339(clock_wall_ms(ps->o.clock), now, sizeof now);
    snprintf(body, sizeof body, "{\"OK\":true,\"Now\":\"%s\"}\n", now);
    respond(r, "text/plain; charset=utf-8", body);
}

void peer__members_page(struct http_req *r, struct peer_server *ps)
{
    const struct http_field f[] = {{"Content-Type", "application/json"},
                                   {"X-Etcd-Cluster-ID", ps->cluster_hex}};
    struct buf b;

    buf_init(&b, MEMBERS_BYTES_MAX);
    if (ps->view == NULL)
        buf_add_str(&b, "[]");
    else
        cluster_members_json(ps->view, &b);
    buf_add_char(&b, '\n');
    if (b.failed)
        http_error(r, 500, "out of memory");
    else
        http_respond(r, 200, f, ARRAY_LEN(f), buf_bytes(&b));
    buf_done(&b);
}

/* ---- streams ---- */

static bool starts_with(struct bytes s, struct bytes prefix)
{
    return s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0;
}

static struct bytes behind(struct bytes s, size_t n)
{
    return bytes_of(s.p + n, s.n - n);
}

/* "message/ID" or "msgapp/ID". */
static bool stream_of(struct bytes rest, enum peer_stream *ret, struct bytes *ret_id)
{
    static const char *const prefixes[PEER_STREAMS] = {"message/", "msgapp/"};

    for (int k = 0; k < PEER_STREAMS; k++) {
        if (starts_with(rest, bytes_str(prefixes[k]))) {
            *ret = (enum peer_stream) k;
            *ret_id = behind(rest, strlen(prefixes[k]));
            return true;
        }
    }
    return false;
}

/* The checks of etcd's stream handler, in its order. */
static void stream_page(struct http_req *r, struct peer_server *ps, struct bytes rest)
{
    enum peer_stream kind;
    struct bytes id_text, to;
    struct peer *p;
    raft_id id;

    if (!peer__compatible(r, ps))
        return;
    if (!stream_of(rest, &kind, &id_text)) {
        peer__answer(r, ps, 404, "invalid path");
        return;
    }
    if (!cluster_id_parse(id_text, &id)) {
        peer__answer(r, ps, 404, "invalid from");
        return;
    }
    if (ps->view != NULL && cluster_view_is_removed(ps->view, id)) {
        peer__answer(r, ps, 410, "removed member");
        return;
    }
    p = peer__find(ps, id);
    if (p == NULL || p->is_remote) {
        peer__note_sender(r, ps);
        peer__answer(r, ps, 404, "error sender not found");
        return;
    }
    if (!http_header(r, "x-raft-to", &to) || !bytes_eq(to, bytes_str(ps->hex))) {
        peer__answer(r, ps, 412, "to field mismatch");
        return;
    }
    peer__writer_accept(&p->writers[kind], r);
}

/* ---- the table ---- */

struct page {
    const char *path;
    void (*run)(struct http_req *r, struct peer_server *ps);
};

static const struct page pages[] = {
    {"/version", version_page},
    {"/raft/probing", probing_page},
    {"/members", peer__members_page},
    {"/members/hashkv", peer__hash_page},
    {"/downgrade/enabled", peer__downgrade_page},
};

static void refuse_method(struct http_req *r, const char *allowed)
{
    const struct http_field f[] = {{"Allow", allowed},
                                   {"Content-Type", "text/plain; charset=utf-8"},
                                   {"X-Content-Type-Options", "nosniff"}};

    http_respond(r, 405, f, ARRAY_LEN(f), BYTES_LIT("Method Not Allowed\n"));
}

static void promote_page(struct http_req *r, struct peer_server *ps, struct bytes id)
{
    if (bytes_eq(http_method(r), BYTES_LIT("POST")))
        peer__promote_page(r, ps, id);
    else
        refuse_method(r, "POST");
}

void peer__page(struct http_req *r, void *peer_server)
{
    struct peer_server *ps = peer_server;
    struct bytes path = http_path(r);
    bool get = bytes_eq(http_method(r), BYTES_LIT("GET"));
    void (*run)(struct http_req *, struct peer_server *) = NULL;
    bool stream = starts_with(path, BYTES_LIT(STREAM_PREFIX));

    if (bytes_eq(path, BYTES_LIT("/raft"))) {
        peer__raft_page(r, ps);
        return;
    }
    if (bytes_eq(path, BYTES_LIT("/raft/snapshot"))) {
        peer__snapshot_page(r, ps);
        return;
    }
    if (bytes_eq(path, BYTES_LIT("/leases")) || bytes_eq(path, BYTES_LIT("/leases/internal"))) {
        if (peer__is_post(r))
            peer__leases_page(r, ps, path.n > sizeof "/leases" - 1);
        return;
    }
    if (starts_with(path, BYTES_LIT(PROMOTE_PREFIX))) {
        promote_page(r, ps, behind(path, sizeof PROMOTE_PREFIX - 1));
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        if (bytes_eq(path, bytes_str(pages[i].path)))
            run = pages[i].run;
    }
    if (run == NULL && !stream) {
        http_error(r, 404, "404 page not found");
    } else if (!get) {
        refuse_method(r, "GET");
    } else if (stream) {
        stream_page(r, ps, behind(path, sizeof STREAM_PREFIX - 1));
    } else {
        run(r, ps);
    }
}
