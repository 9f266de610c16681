/* first_check.c -- a member that was here before compares its keys with the others' before it
 * serves anybody (etcd's corrupt.go, InitialCheck). */
#include "edge/peer/once.h"
#include "wire/hash_json.h"

#define STEP_RECORDS 1000

struct first_check {
    struct peer_server *ps;
    int64_t timeout_ms;
    struct mvcc_hash_result own;
    struct peer_once once;
    size_t mismatches;
};

/* What all lines about another member say about this one. */
#define OWN_FIELDS(c)                                                      \
    F_STR("local-member-id", (c)->ps->hex),                                \
        F_I64("local-member-revision", (c)->own.hash_revision),            \
        F_I64("local-member-compact-revision", (c)->own.compact_revision), \
        F_U64("local-member-hash", (c)->own.hash)

static int own_hash(struct first_check *c, struct err *e)
{
    struct mvcc_reader *r = mvcc_reader_new(node_mvcc(c->ps->node));
    const struct mvcc_view *v;
    struct mvcc_hash *h = NULL;
    bool done = false;
    int rc;

    if (r == NULL)
        return err_set(e, ERR_NOMEM, "%s failed to fetch hash (out of memory)", c->ps->hex);
    v = mvcc_view_pin(r);
    rc = mvcc_hash_begin(v, 0, &h);
    mvcc_view_unpin(v);
    while (rc == 0 && !done)
        rc = mvcc_hash_step(h, STEP_RECORDS, &done);
    if (rc == 0)
        mvcc_hash_result(h, &c->own);
    if (h != NULL)
        mvcc_hash_end(h);
    mvcc_reader_free(r);
    return rc == 0 ? 0
                   : err_set(e, ERR_NOMEM, "%s failed to fetch hash (out of memory)", c->ps->hex);
}

static void compare(struct first_check *c, const struct cluster_member *m,
                    const struct hash_answer *a)
{
    bool comparable = a->compact_revision == c->own.compact_revision;

    if (a->hash == c->own.hash)
        return;
    LOG_WARN(c->ps->o.log,
             comparable ? "found different hash values from remote peer"
                        : "found different compact revision values from remote peer",
             OWN_FIELDS(c), F_HEX("remote-peer-id", m->id),
             F_STRS("remote-peer-endpoints", m->peer_urls.v, m->peer_urls.n),
             F_I64("remote-peer-revision", a->revision),
             F_I64("remote-peer-compact-revision", a->compact_revision),
             F_U64("remote-peer-hash", a->hash));
    c->mismatches += comparable;
}

static bool says(const struct peer_once *q, int status, const char *word)
{
    struct bytes b = buf_bytes(&q->body);
    size_t n = strlen(word);

    for (size_t i = 0; q->status == status && i + n <= b.n; i++) {
        if (memcmp(b.p + i, word, n) == 0)
            return true;
    }
    return false;
}

static void not_compared(struct first_check *c, const struct cluster_member *m)
{
    const char *what = NULL;

    if (says(&c->once, 400, "required revision is a future revision"))
        what = "cannot fetch hash from slow remote peer";
    else if (says(&c->once, 400, "required revision has been compacted"))
        what = "cannot fetch hash from remote peer; local member is behind";
    else if (says(&c->once, 412, "cluster ID mismatch"))
        what = "cluster ID mismatch";
    if (what != NULL)
        LOG_WARN(c->ps->o.log, what, OWN_FIELDS(c), F_HEX("remote-peer-id", m->id),
                 F_STRS("remote-peer-endpoints", m->peer_urls.v, m->peer_urls.n));
}

static void ask(struct first_check *c, const struct cluster_member *m, struct bytes question)
{
    struct hash_answer a;

    for (size_t i = 0; i < m->peer_urls.n; i++) {
        struct peer_once_question q = {.url = m->peer_urls.v[i],
                                       .path = "/members/hashkv",
                                       .cluster_hex = c->ps->cluster_hex,
                                       .json = question,
                                       .timeout_ms = c->timeout_ms};
        bool answered = peer__once_get(&c->once, &q);

        if (answered && c->once.status == 200 && hash_answer_parse(buf_bytes(&c->once.body), &a)) {
            compare(c, m, &a);
            return;
        }
        LOG_WARN(c->ps->o.log, "failed hash kv request", F_STR("local-member-id", c->ps->hex),
                 F_I64("requested-revision", c->own.hash_revision),
                 F_STR("remote-peer-endpoint", m->peer_urls.v[i]),
                 F_STR("error", answered ? "the member has no such hash" : c->once.why));
    }
    not_compared(c, m);
}

static void ask_all(struct first_check *c)
{
    const struct cluster_view *v = node_cluster_view(c->ps->node);
    struct buf question;

    buf_init(&question, HASH_JSON_BYTES_MAX);
    hash_question_put(c->own.hash_revision, &question);
    for (size_t i = 0; i < v->members_n; i++) {
        if (v->members[i].id != c->ps->id)
            ask(c, &v->members[i], buf_bytes(&question));
    }
    buf_done(&question);
}

int peer_first_check(struct peer_server *p, int64_t timeout_ms, struct err *e)
{
    struct first_check c = {.ps = p, .timeout_ms = timeout_ms};
    int rc;

    LOG_INFO(p->o.log, "starting initial corruption check", F_STR("local-member-id", p->hex),
             F_NS("timeout", timeout_ms * 1000000));
    rc = own_hash(&c, e);
    if (rc != 0)
        return rc;
    rc = peer__once_open(&c.once, c.ps->o.tls, e);
    if (rc == 0)
        ask_all(&c);
    peer__once_close(&c.once);
    if (rc == 0 && c.mismatches > 0)
        rc = err_set(e, ERR_CORRUPT, "%s found data inconsistency with peers", p->hex);
    if (rc == 0)
        LOG_INFO(p->o.log, "initial corruption checking passed; no corruption",
                 F_STR("local-member-id", p->hex));
    else
        LOG_ERROR(p->o.log, "checkInitialHashKV failed", F_ERR(e));
    return rc;
}
