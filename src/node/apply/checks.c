/* checks.c -- asks the other members for the hash of their keys, now and then (etcd's corrupt.go).
 */
#include "node/apply/checks.h"
#include "base/alloc.h"

/* ---- answers come, on any thread ---- */

/* Of a refusal the first line is kept. */
static void note_failure(struct check_peer *p, int status, struct bytes answer)
{
    const uint8_t *end = answer.n == 0 ? NULL : memchr(answer.p, '\n', answer.n);
    size_t k = end == NULL ? answer.n : (size_t) (end - answer.p);

    p->ok = false;
    if (status == 0)
        snprintf(p->why, sizeof p->why, "no answer");
    else if (status == 200)
        snprintf(p->why, sizeof p->why, "the answer cannot be read");
    else
        snprintf(p->why, sizeof p->why, "%.*s", (int) MIN(k, sizeof p->why - 1),
                 (const char *) answer.p);
}

static void on_answer(struct node_question *q, int status, struct bytes answer)
{
    struct check_peer *p = CONTAINER_OF(q, struct check_peer, q);
    struct node *n = p->node;

    p->ok = status == 200 && hash_answer_parse(answer, &p->answer);
    if (!p->ok)
        note_failure(p, status, answer);
    mpsc_push(&n->apply.checks->peers_in, &p->link);
    node__wake(n, NODE_APPLY);
}

/* Of a hash or a read of our own. */
static void own_done(struct node *n, struct node_request *own)
{
    struct hash_checks *c = n->apply.checks;
    const struct node_result *res = &own->result;
    const Etcdserverpb__HashKVResponse *m;

    c->own_ok = res->err == API_OK && res->code == GRPC_OK;
    if (!c->own_ok) {
        snprintf(c->own_why, sizeof c->own_why, "%s",
                 res->err != API_OK ? api_error_text(res->err) : res->text);
    } else if (own->kind == NODE_REQ_HASH_KV) {
        m = (const Etcdserverpb__HashKVResponse *) res->msg;
        c->own_answer = (struct hash_answer){res->revision, m->hash, m->compact_revision,
                                             res->revision};
    }
    mpsc_push(&c->own_in, &c->own_link);
    node__wake(n, NODE_APPLY);
}

/* ---- questions ---- */

static void peers_free(struct hash_checks *c)
{
    ASSERT(c->waiting == 0);
    for (size_t i = 0; i < c->peers_n; i++)
        buf_done(&c->peers[i].body);
    mem_free(c->peers);
    c->peers = NULL;
    c->peers_n = 0;
}

static void ask_peers(struct node *n, int64_t revision)
{
    struct hash_checks *c = n->apply.checks;
    const struct node_transport *t = n->env.transport;
    const struct cluster_view *v = cluster_view(n->apply.cluster);

    peers_free(c);
    c->peers = xmem_calloc(v->members_n + 1, sizeof *c->peers);
    c->phase = CHECK_PEERS;
    for (size_t i = 0; i < v->members_n; i++) {
        struct check_peer *p = &c->peers[c->peers_n];

        if (v->members[i].id == n->member_id || v->members[i].peer_urls.n == 0 || t == NULL)
            continue;
        c->peers_n++;
        p->node = n;
        p->id = v->members[i].id;
        buf_init(&p->body, HASH_JSON_BYTES_MAX);
        hash_question_put(revision, &p->body);
        p->q = (struct node_question){.to = p->id,
                                      .method = NODE_QUESTION_GET,
                                      .path = "/members/hashkv",
                                      .body = buf_bytes(&p->body),
                                      .timeout_ms = node__request_timeout_ns(n) / 1000000,
                                      .done = on_answer};
    }
    c->waiting = c->peers_n;
    for (size_t i = 0; i < c->peers_n; i++)
        t->ask(t->ctx, &c->peers[i].q);
}

static void say_failures(struct node *n, const struct hash_checks *c, int64_t revision)
{
    for (size_t i = 0; i < c->peers_n; i++) {
        if (!c->peers[i].ok)
            LOG_WARN(n->env.log, "failed hash kv request", F_HEX("local-member-id", n->member_id),
                     F_I64("requested-revision", revision), F_HEX("remote-peer-id", c->peers[i].id),
                     F_STR("error", c->peers[i].why));
    }
}

/* ---- the periodic check ---- */

static void begin_periodic(struct node *n)
{
    n->apply.checks->of_compactions = false;
    n->apply.checks->phase = CHECK_OWN;
    node__submit_own(n, NODE_REQ_HASH_KV, own_done);
}

static void periodic_failed(struct node *n)
{
    struct hash_checks *c = n->apply.checks;

    LOG_WARN(n->env.log, "failed to check hash KV", F_STR("error", c->own_why));
    c->phase = CHECK_IDLE;
}

/* ---- the check of compactions ---- */

static void end_compactions(struct node *n, size_t checked)
{
    LOG_INFO(n->env.log, "finished compaction hash check",
             F_U64("number-of-hashes-checked", checked));
    n->apply.checks->phase = CHECK_IDLE;
}

static void next_compaction(struct node *n)
{
    struct hash_checks *c = n->apply.checks;

    if (c->at == c->compactions_n)
        end_compactions(n, c->compactions_n);
    else
        ask_peers(n, c->compactions[c->at].hash_revision);
}

/* Those newer than what was found equal everywhere, the newest first. */
static void begin_compactions(struct node *n)
{
    struct hash_checks *c = n->apply.checks;
    struct mvcc_hash_result stored[MVCC_COMPACT_HASHES];
    const struct mvcc_view *v = mvcc_view_pin(n->apply.reader);
    size_t k = mvcc_view_compact_hashes(v, stored);

    mvcc_view_unpin(v);
    LOG_INFO(n->env.log, "starting compact hash check", F_HEX("local-member-id", n->member_id),
             F_NS("timeout", node__request_timeout_ns(n)));
    c->of_compactions = true;
    c->compactions_n = c->at = 0;
    while (k > 0 && stored[k - 1].hash_revision > c->checked_revision)
        c->compactions[c->compactions_n++] = stored[--k];
    next_compaction(n);
}

/* ---- steps ---- */

static void peers_answered(struct node *n)
{
    struct hash_checks *c = n->apply.checks;

    if (!c->of_compactions) {
        say_failures(n, c, c->own.hash_revision);
        c->phase = CHECK_READ;
        node__submit_own(n, NODE_REQ_READ_INDEX, own_done);
        return;
    }
    say_failures(n, c, c->compactions[c->at].hash_revision);
    c->at++;
    if (c->peers_n > 0 && node__judge_compaction(n, c, &c->compactions[c->at - 1]))
        end_compactions(n, c->at);
    else
        next_compaction(n);
}

static void own_came_back(struct node *n)
{
    struct hash_checks *c = n->apply.checks;

    if (!c->own_ok) {
        periodic_failed(n);
        return;
    }
    switch (c->phase) {
    case CHECK_OWN:
        c->own = c->own_answer;
        ask_peers(n, c->own.hash_revision);
        return;
    case CHECK_READ:
        c->phase = CHECK_AGAIN;
        node__submit_own(n, NODE_REQ_HASH_KV, own_done);
        return;
    case CHECK_AGAIN:
        node__judge_periodic(n, c, &c->own_answer);
        c->phase = CHECK_IDLE;
        return;
    case CHECK_IDLE:
    case CHECK_PEERS:
        UNREACHABLE();
    }
}

static void take_answers(struct node *n)
{
    struct hash_checks *c = n->apply.checks;

    for (struct mpsc_node *x = mpsc_take(&c->peers_in); x != NULL; x = x->next)
        c->waiting--;
    if (mpsc_take(&c->own_in) != NULL)
        own_came_back(n);
    while (c->phase == CHECK_PEERS && c->waiting == 0)
        peers_answered(n);
}

/* ---- when ---- */

static struct hash_checks *checks_new(struct node *n)
{
    struct hash_checks *c = xmem_calloc(1, sizeof *c);

    mpsc_init(&c->peers_in);
    mpsc_init(&c->own_in);
    c->next_periodic = n->apply.now + n->cfg.corrupt_check_ns;
    c->next_compactions = n->apply.now + n->cfg.compact_check_ns;
    if (n->cfg.corrupt_check_ns > 0)
        LOG_INFO(n->env.log, "enabled corruption checking", F_HEX("local-member-id", n->member_id),
                 F_NS("interval", n->cfg.corrupt_check_ns));
    return c;
}

static bool is_on(const struct node *n)
{
    return n->cfg.corrupt_check_ns > 0 || n->cfg.compact_check_ns > 0;
}

void node__checks_run(struct node *n)
{
    struct apply_actor *a = &n->apply;
    struct hash_checks *c;
    bool leads = atomic_load(&n->pub.is_leader);

    if (!is_on(n))
        return;
    if (a->checks == NULL)
        a->checks = checks_new(n);
    c = a->checks;
    if (c->phase == CHECK_IDLE && n->cfg.corrupt_check_ns > 0 && a->now >= c->next_periodic) {
        c->next_periodic = a->now + n->cfg.corrupt_check_ns;
        if (leads)
            begin_periodic(n);
    }
    if (c->phase == CHECK_IDLE && n->cfg.compact_check_ns > 0 && a->now >= c->next_compactions) {
        c->next_compactions = a->now + n->cfg.compact_check_ns;
        if (leads)
            begin_compactions(n);
    }
    take_answers(n);
}

mono_ns node__checks_due(const struct node *n)
{
    const struct hash_checks *c = n->apply.checks;
    mono_ns due = INT64_MAX;

    if (c == NULL || c->phase != CHECK_IDLE)
        return due;
    if (n->cfg.corrupt_check_ns > 0)
        due = c->next_periodic;
    return n->cfg.compact_check_ns > 0 ? MIN(due, c->next_compactions) : due;
}

/* Nobody answers any more: the transport and the other actors have ended. */
void node__checks_done(struct node *n)
{
    struct hash_checks *c = n->apply.checks;

    if (c == NULL)
        return;
    c->waiting = 0;
    peers_free(c);
    mem_free(c);
    n->apply.checks = NULL;
}
