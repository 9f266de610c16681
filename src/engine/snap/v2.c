#include "engine/snap/snap.h"
#include "wire/gojson.h"

/* etcd's v2 store in JSON, with nothing in it but the membership:
 *
 *     /0/members/<id>/raftAttributes   {"peerURLs":[..]}, and "isLearner":true when so
 *     /0/members/<id>/attributes       {"name":"..","clientURLs":[..]}, once published
 *     /0/removed_members/<id>          when something was removed
 *     /0/version                       once decided
 *     /1                               empty
 *
 * Values are JSON documents inside JSON strings.  Children are in byte order, as Go prints maps. */

#define NO_TIME "0001-01-01T00:00:00Z"

struct writer {
    struct buf *out;
    raft_index index;
    bool first; /* of the children of the open directory */
};

static void key(struct writer *w, const char *name)
{
    if (!w->first)
        buf_add_char(w->out, ',');
    w->first = false;
    gojson_add_string(w->out, bytes_str(name));
    buf_add_char(w->out, ':');
}

static void node_head(struct writer *w, const char *path, struct bytes value)
{
    buf_add_str(w->out, "{\"Path\":");
    gojson_add_string(w->out, bytes_str(path));
    buf_printf(w->out,
               ",\"CreatedIndex\":%" PRIu64 ",\"ModifiedIndex\":%" PRIu64
               ",\"ExpireTime\":\"" NO_TIME "\",\"Value\":",
               w->index, w->index);
    gojson_add_string(w->out, value);
    buf_add_str(w->out, ",\"Children\":");
}

static void dir_begin(struct writer *w, const char *path)
{
    node_head(w, path, BYTES_EMPTY);
    buf_add_char(w->out, '{');
    w->first = true;
}

static void dir_end(struct writer *w)
{
    buf_add_str(w->out, "}}");
    w->first = false;
}

static void leaf(struct writer *w, const char *name, const char *path, struct bytes value)
{
    key(w, name);
    node_head(w, path, value);
    buf_add_str(w->out, "null}");
}

static void member_attributes(struct writer *w, const struct snap_v2_member *m, const char *path,
                              struct buf *value)
{
    if (m->name[0] == '\0' && m->client_urls_n == 0)
        return;
    buf_clear(value);
    buf_add_char(value, '{');
    if (m->name[0] != '\0') {
        buf_add_str(value, "\"name\":");
        gojson_add_string(value, bytes_str(m->name));
    }
    if (m->client_urls_n != 0) {
        buf_add_str(value, m->name[0] != '\0' ? ",\"clientURLs\":" : "\"clientURLs\":");
        gojson_add_strings(value, m->client_urls, m->client_urls_n, true);
    }
    buf_add_char(value, '}');
    w->out->failed |= value->failed;
    leaf(w, "attributes", path, buf_bytes(value));
}

static void member(struct writer *w, const struct snap_v2_member *m, struct buf *value)
{
    char path[64], id[17];

    ASSERT(m->name != NULL);
    snprintf(id, sizeof id, "%" PRIx64, m->id);
    key(w, id);
    snprintf(path, sizeof path, "/0/members/%s", id);
    dir_begin(w, path);
    snprintf(path, sizeof path, "/0/members/%s/attributes", id);
    member_attributes(w, m, path, value);
    buf_clear(value);
    buf_add_str(value, "{\"peerURLs\":");
    gojson_add_strings(value, m->peer_urls, m->peer_urls_n, true);
    buf_add_str(value, m->is_learner ? ",\"isLearner\":true}" : "}");
    w->out->failed |= value->failed;
    snprintf(path, sizeof path, "/0/members/%s/raftAttributes", id);
    leaf(w, "raftAttributes", path, buf_bytes(value));
    dir_end(w);
}

static void removed(struct writer *w, const struct snap_v2_membership *m)
{
    if (m->removed_n == 0)
        return;
    key(w, "removed_members");
    dir_begin(w, "/0/removed_members");
    for (size_t i = 0; i < m->removed_n; i++) {
        char path[64], id[17];

        snprintf(id, sizeof id, "%" PRIx64, m->removed[i]);
        snprintf(path, sizeof path, "/0/removed_members/%s", id);
        leaf(w, id, path, BYTES_EMPTY);
    }
    dir_end(w);
}

bool snap_v2_write(const struct snap_v2_membership *m, struct buf *out)
{
    struct writer w = {.out = out, .index = m->index, .first = true};
    struct buf value;

    buf_init(&value, out->bytes_max);
    buf_add_str(out, "{\"Root\":");
    dir_begin(&w, "/");
    key(&w, "0");
    dir_begin(&w, "/0");
    key(&w, "members");
    dir_begin(&w, "/0/members");
    for (size_t i = 0; i < m->members_n; i++)
        member(&w, &m->members[i], &value);
    dir_end(&w);
    removed(&w, m);
    if (m->cluster_version != NULL)
        leaf(&w, "version", "/0/version", bytes_str(m->cluster_version));
    dir_end(&w);
    key(&w, "1");
    dir_begin(&w, "/1");
    dir_end(&w);
    dir_end(&w);
    buf_printf(out, ",\"CurrentIndex\":%" PRIu64 ",\"CurrentVersion\":2}", m->index);
    buf_done(&value);
    return !out->failed;
}
