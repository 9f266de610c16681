/* asks_cluster.c -- pages of the peer port about the cluster's state: its hash at a revision, a
 * promotion, whether a downgrade is under way (etcd's corrupt.go, etcdhttp/peer.go). */
#include "edge/peer/asks.h"
#include "wire/hash_json.h"
#include "wire/wire.h"

/* Text as Go's http.Error writes it, with the cluster's id. */
static void answer_text(struct http_req *r, const struct peer_server *ps, int status,
                        const char *text)
{
    const struct http_field f[] = {{"Content-Type", "text/plain; charset=utf-8"},
                                   {"X-Content-Type-Options", "nosniff"},
                                   {"X-Etcd-Cluster-ID", ps->cluster_hex}};
    char line[256];
    int n = snprintf(line, sizeof line, "%s\n", text);

    http_respond(r, status, f, ARRAY_LEN(f), bytes_of(line, (size_t) MIN(n, 255)));
}

static const char *error_text(const struct node_result *res)
{
    return res->err != API_OK ? api_error_text(res->err) : res->text;
}

static bool is_ok(const struct node_result *res)
{
    return res->err == API_OK && res->code == GRPC_OK;
}

/* ---- hash ---- */

/* The errors of the key space without the client API's prefix. */
static const char *hash_error(const struct node_result *res)
{
    static const char prefix[] = "etcdserver: ";
    const char *text = error_text(res);

    return strncmp(text, prefix, sizeof prefix - 1) == 0 ? text + sizeof prefix - 1 : text;
}

static void hash_done(struct peer_ask *a)
{
    const struct http_field f[] = {{"Content-Type", "application/json"},
                                   {"X-Etcd-Cluster-ID", a->ps->cluster_hex}};
    const struct node_result *res = &a->node.result;
    const Etcdserverpb__HashKVResponse *m;
    struct hash_answer answer;
    struct buf b;

    if (!is_ok(res)) {
        LOG_WARN(a->ps->o.log, "failed to get hashKV",
                 F_I64("requested-revision", a->node.revision), F_STR("error", hash_error(res)));
        http_error(a->req, 400, hash_error(res));
        return;
    }
    m = (const Etcdserverpb__HashKVResponse *) res->msg;
    answer = (struct hash_answer){res->revision, m->hash, m->compact_revision, m->hash_revision};
    buf_init(&b, HASH_JSON_BYTES_MAX);
    hash_answer_put(&answer, &b);
    http_respond(a->req, 200, f, ARRAY_LEN(f), buf_bytes(&b));
    buf_done(&b);
}

static void hash_body(struct http_req *r, struct bytes body, bool too_large)
{
    struct peer_server *ps = http_user(r);
    struct peer_ask *a;
    int64_t revision;

    if (too_large || !hash_question_parse(body, &revision)) {
        LOG_WARN(ps->o.log, "failed to unmarshal request");
        http_error(r, 400, "error unmarshalling request");
        return;
    }
    a = peer__ask_new(r, ps, NODE_REQ_HASH_KV, hash_done);
    a->node.revision = revision;
    node_submit(ps->node, &a->node);
}

void peer__hash_page(struct http_req *r, struct peer_server *ps)
{
    struct bytes id;

    if (http_header(r, "x-etcd-cluster-id", &id) && id.n > 0 &&
        !bytes_eq(id, bytes_str(ps->cluster_hex))) {
        http_error(r, 412, "cluster ID mismatch");
        return;
    }
    http_set_user(r, ps);
    http_read_all(r, HASH_JSON_BYTES_MAX, hash_body);
}

/* ---- promotion ---- */

/* The words of etcd's membership package, which the asking member looks for. */
static void promote_failed(struct http_req *r, const struct peer_server *ps, uint64_t id,
                           enum api_error err, const char *text)
{
    const struct http_field f[] = {{"Content-Type", "application/json"},
                                   {"X-Etcd-Cluster-ID", ps->cluster_hex}};
    char hex[PEER_ID_TEXT_BYTES];

    cluster_id_text(id, hex);
    LOG_WARN(ps->o.log, "failed to promote a member", F_STR("member-id", hex),
             F_STR("error", text));
    switch (err) {
    case API_MEMBER_NOT_FOUND:
        answer_text(r, ps, 404, "membership: ID not found");
        break;
    case API_MEMBER_NOT_LEARNER:
        answer_text(r, ps, 412, "membership: can only promote a learner member");
        break;
    case API_LEARNER_NOT_READY:
        answer_text(r, ps, 412, api_error_text(API_LEARNER_NOT_READY));
        break;
    default:
        http_respond(r, 500, f, ARRAY_LEN(f), BYTES_LIT("{\"message\":\"Internal Server Error\"}"));
    }
}

/* The new membership was handed to this loop before the answer was: the page shows it. */
static void promote_done(struct peer_ask *a)
{
    if (is_ok(&a->node.result))
        peer__members_page(a->req, a->ps);
    else
        promote_failed(a->req, a->ps, a->node.change->member.id, a->node.result.err,
                       error_text(&a->node.result));
}

static bool id_of(struct bytes text, uint64_t *ret)
{
    uint64_t v = 0;

    for (size_t i = 0; i < text.n; i++) {
        uint64_t digit = (uint64_t) text.p[i] - '0';

        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *ret = v;
    return text.n > 0;
}

void peer__promote_page(struct http_req *r, struct peer_server *ps, struct bytes id_text)
{
    struct cluster_change ch = {
        .type = RAFT_CONF_ADD_NODE, .promote = true, .member = {.name = ""}};
    struct bytes token = BYTES_EMPTY;
    enum api_error refused = API_OK;
    struct peer_ask *a;

    if (!id_of(id_text, &ch.member.id)) {
        char line[200];

        snprintf(line, sizeof line, "member %.*s not found in cluster", (int) MIN(id_text.n, 128),
                 (const char *) id_text.p);
        answer_text(r, ps, 404, line);
        return;
    }
    (void) http_header(r, "authorization", &token);
    if (ps->may_promote != NULL)
        refused = ps->may_promote(ps->may_user, token);
    if (refused != API_OK) {
        promote_failed(r, ps, ch.member.id, refused, api_error_text(refused));
        return;
    }
    a = peer__ask_new(r, ps, NODE_REQ_MEMBER_CHANGE, promote_done);
    if (token.n > 0) /* for the leader, if this member is none */
        a->node.token = arena_printf(&a->arena, "%.*s", (int) token.n, (const char *) token.p);
    a->node.change = arena_dup(&a->arena, &ch, sizeof ch);
    ASSERT(a->node.change != NULL);
    node_submit(ps->node, &a->node);
}

/* ---- downgrade ---- */

static void downgrade_done(struct peer_ask *a)
{
    const struct http_field f[] = {{"Content-Type", "text/plain"},
                                   {"X-Etcd-Cluster-ID", a->ps->cluster_hex}};
    struct node_status st;

    if (!is_ok(&a->node.result)) {
        char line[200];

        snprintf(line, sizeof line, "failed linearized read: %s", error_text(&a->node.result));
        answer_text(a->req, a->ps, 500, line);
        return;
    }
    node_status(a->ps->node, &st);
    http_respond(a->req, 200, f, ARRAY_LEN(f),
                 st.downgrade_enabled ? BYTES_LIT("true") : BYTES_LIT("false"));
}

void peer__downgrade_page(struct http_req *r, struct peer_server *ps)
{
    struct peer_ask *a = peer__ask_new(r, ps, NODE_REQ_READ_INDEX, downgrade_done);

    node_submit(ps->node, &a->node);
}
