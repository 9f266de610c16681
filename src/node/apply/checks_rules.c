/* checks_rules.c -- what the members' hashes mean: who is alarmed about, and what is said. */
#include "base/alloc.h"
#include "node/apply/checks.h"

static void raise_corrupt(struct node *n, raft_id id)
{
    Etcdserverpb__AlarmRequest m = ETCDSERVERPB__ALARM_REQUEST__INIT;

    m.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE;
    m.memberid = id;
    m.alarm = ETCDSERVERPB__ALARM_TYPE__CORRUPT;
    node__propose_own(n, NODE_OP_ALARM, &m.base, NULL, NULL);
}

/* ---- the periodic check ---- */

/* One alarm for each run. */
struct alarm_once {
    struct node *node;
    bool raised;
};

static void alarm_about(struct alarm_once *a, raft_id id)
{
    if (!a->raised)
        raise_corrupt(a->node, id);
    a->raised = true;
}

/* Nothing was written between two hashes, and yet they differ. */
static void judge_self(struct alarm_once *a, const struct hash_answer *h,
                       const struct hash_answer *h2)
{
    if (h2->hash == h->hash || h2->hash_revision != h->hash_revision ||
        h2->compact_revision != h->compact_revision)
        return;
    LOG_WARN(a->node->env.log, "found hash mismatch", F_I64("revision-1", h->hash_revision),
             F_I64("compact-revision-1", h->compact_revision), F_U64("hash-1", h->hash),
             F_I64("revision-2", h2->hash_revision),
             F_I64("compact-revision-2", h2->compact_revision), F_U64("hash-2", h2->hash));
    alarm_about(a, a->node->member_id);
}

static void judge_peer(struct alarm_once *a, const struct check_peer *p,
                       const struct hash_answer *h, const struct hash_answer *h2)
{
    struct log *log = a->node->env.log;

    if (p->answer.revision > h2->revision) {
        LOG_WARN(log, "revision from follower must be less than or equal to leader's",
                 F_I64("leader-revision", h2->revision),
                 F_I64("follower-revision", p->answer.revision), F_HEX("follower-peer-id", p->id));
        alarm_about(a, p->id);
    }
    if (p->answer.compact_revision > h2->compact_revision) {
        LOG_WARN(log, "compact revision from follower must be less than or equal to leader's",
                 F_I64("leader-compact-revision", h2->compact_revision),
                 F_I64("follower-compact-revision", p->answer.compact_revision),
                 F_HEX("follower-peer-id", p->id));
        alarm_about(a, p->id);
    }
    if (p->answer.compact_revision == h->compact_revision && p->answer.hash != h->hash) {
        LOG_WARN(log, "same compact revision then hashes must match",
                 F_I64("leader-compact-revision", h2->compact_revision),
                 F_U64("leader-hash", h->hash),
                 F_I64("follower-compact-revision", p->answer.compact_revision),
                 F_U64("follower-hash", p->answer.hash), F_HEX("follower-peer-id", p->id));
        alarm_about(a, p->id);
    }
}

void node__judge_periodic(struct node *n, const struct hash_checks *c,
                          const struct hash_answer *again)
{
    struct alarm_once a = {n, false};
    size_t checked = 0;

    judge_self(&a, &c->own, again);
    for (size_t i = 0; i < c->peers_n; i++) {
        if (!c->peers[i].ok)
            continue;
        checked++;
        judge_peer(&a, &c->peers[i], &c->own, again);
    }
    LOG_INFO(n->env.log, "finished peer corruption check",
             F_U64("number-of-peers-checked", checked));
}

/* ---- the check of compactions ---- */

/* Those that answered about the same compaction; the others are skipped. */
static bool is_skipped(struct node *n, const struct hash_checks *c, const struct check_peer *p,
                       const struct mvcc_hash_result *own)
{
    char reason[120] = "no response";

    if (p->ok && p->answer.compact_revision == own->compact_revision)
        return false;
    if (p->ok)
        snprintf(reason, sizeof reason,
                 "the peer's CompactRevision %" PRIi64
                 " doesn't match leader's CompactRevision %" PRIi64,
                 p->answer.compact_revision, own->compact_revision);
    LOG_WARN(n->env.log, "Skipped peer's hash", F_U64("number-of-peers", c->peers_n),
             F_HEX("leader-id", n->member_id), F_HEX("peer-id", p->id), F_STR("reason", reason));
    return true;
}

/* Who has which hash; the leader is one of them. */
struct votes {
    raft_id *ids;
    uint32_t *hashes;
    size_t n;
};

static size_t votes_for(const struct votes *v, uint32_t hash)
{
    size_t k = 0;

    for (size_t i = 0; i < v->n; i++)
        k += v->hashes[i] == hash;
    return k;
}

static bool all_equal(const struct votes *v)
{
    return votes_for(v, v->hashes[0]) == v->n;
}

/* The hash that a majority of all members has.  False: none. */
static bool majority(const struct votes *v, size_t members, uint32_t *ret)
{
    for (size_t i = 0; i < v->n; i++) {
        if (votes_for(v, v->hashes[i]) >= members / 2 + 1) {
            *ret = v->hashes[i];
            return true;
        }
    }
    return false;
}

static bool is_first_with(const struct votes *v, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (v->hashes[k] == v->hashes[i])
            return false;
    }
    return true;
}

static void ids_text(const struct votes *v, uint32_t hash, struct buf *out)
{
    for (size_t i = 0; i < v->n; i++) {
        if (v->hashes[i] == hash)
            buf_printf(out, "%s%" PRIx64, out->len == 0 ? "" : ",", v->ids[i]);
    }
}

static void judge_mismatch(struct node *n, const struct votes *v, size_t members,
                           const struct mvcc_hash_result *own)
{
    uint32_t good = 0;
    bool quorum = majority(v, members, &good);

    if (!quorum) {
        LOG_ERROR(n->env.log,
                  "Detected compaction hash mismatch but cannot identify the corrupted members, so "
                  "intentionally set the memberID as 0",
                  F_HEX("leader-id", n->member_id), F_I64("leader-revision", own->hash_revision),
                  F_I64("leader-compact-revision", own->compact_revision),
                  F_U64("leader-hash", own->hash));
        raise_corrupt(n, 0);
    }
    for (size_t i = 0; i < v->n; i++) {
        struct buf ids;

        if (quorum && v->hashes[i] == good)
            continue;
        if (quorum)
            raise_corrupt(n, v->ids[i]);
        if (!is_first_with(v, i))
            continue;
        buf_init(&ids, 4096);
        ids_text(v, v->hashes[i], &ids);
        LOG_ERROR(n->env.log, "Detected compaction hash mismatch", F_HEX("leader-id", n->member_id),
                  F_I64("leader-revision", own->hash_revision),
                  F_I64("leader-compact-revision", own->compact_revision),
                  F_U64("leader-hash", own->hash), F_U64("peer-hash", v->hashes[i]),
                  F_STR("peer-ids", buf_cstr(&ids)), F_BOOL("quorum-exist", quorum));
        buf_done(&ids);
    }
}

static bool judge_equal(struct node *n, struct hash_checks *c, size_t checked,
                        const struct mvcc_hash_result *own)
{
    if (checked < c->peers_n) {
        LOG_WARN(n->env.log,
                 "skipped revision in compaction hash check; was not able to check all peers",
                 F_U64("number-of-peers-checked", checked), F_U64("number-of-peers", c->peers_n),
                 F_I64("revision", own->hash_revision),
                 F_I64("compactRevision", own->compact_revision));
        return false;
    }
    LOG_INFO(n->env.log, "successfully checked hash on whole cluster",
             F_U64("number-of-peers-checked", checked), F_I64("revision", own->hash_revision),
             F_I64("compactRevision", own->compact_revision));
    c->checked_revision = MAX(c->checked_revision, own->hash_revision);
    return true;
}

bool node__judge_compaction(struct node *n, struct hash_checks *c,
                            const struct mvcc_hash_result *own)
{
    struct votes v = {xmem_calloc(c->peers_n + 1, sizeof *v.ids),
                      xmem_calloc(c->peers_n + 1, sizeof *v.hashes), 1};
    bool enough = true;

    v.ids[0] = n->member_id;
    v.hashes[0] = own->hash;
    for (size_t i = 0; i < c->peers_n; i++) {
        if (is_skipped(n, c, &c->peers[i], own))
            continue;
        v.ids[v.n] = c->peers[i].id;
        v.hashes[v.n++] = c->peers[i].answer.hash;
    }
    if (all_equal(&v))
        enough = judge_equal(n, c, v.n - 1, own);
    else
        judge_mismatch(n, &v, c->peers_n + 1, own);
    mem_free(v.ids);
    mem_free(v.hashes);
    return enough;
}
