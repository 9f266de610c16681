/* judge.c -- the history against the truth and the clock.
 *
 *   1. Linearizability, by Porcupine's algorithm over a model of the whole store.  Operations of
 *      which the client never heard are looked up in the truth first: values are unique, so whoever
 *      took effect is known by them; a deletion is found by what it would have deleted.  That pins
 *      each to its revision, and the search stays short.  It can only make the judgement stricter:
 *      what is left out had no effect that anybody could see.
 *   2. Every revision was asked for by somebody, once.
 *   3. What was refused has left no trace.
 *   4. A serializable read, and one of the past, shows the state at its revision, whole.
 *   5. In the end all members are at the same revision and have the same HashKV, writes go through
 *      every one of them, and watchers have been told everything.
 */
#include "sim/member/sim.h"

#include "sim/linear/linear.h"

struct judge {
    struct sim *s;
    struct model_state *states; /* by revision */
    struct map64 by_value;      /* value -> revision that put it */
    struct words scratch;
};

/* ---- the states ---- */

static void apply_truth(struct model_state *st, int64_t revision, const struct sim_truth *t)
{
    st->revision = revision;
    for (size_t i = 0; i < t->n; i++)
        st->keys[t->v[i].key] = t->v[i].is_delete ? (struct model_kv){0} : t->v[i].kv;
}

static void note_values(struct judge *j, int64_t revision, const struct sim_truth *t)
{
    for (size_t i = 0; i < t->n; i++) {
        int64_t first;

        if (t->v[i].is_delete)
            continue;
        first = (int64_t) (intptr_t) map64_get(&j->by_value, t->v[i].kv.value);
        if (first != 0 && first != revision)
            sim_fail(j->s, "one put took effect twice, at revisions %" PRId64 " and %" PRId64,
                     first, revision);
        if (first == 0 && !map64_put(&j->by_value, t->v[i].kv.value, (void *) (intptr_t) revision))
            abort();
    }
}

static void replay(struct judge *j)
{
    struct sim *s = j->s;

    map64_init(&j->by_value);
    j->states = xmem_calloc((size_t) s->revision + 1, sizeof *j->states);
    j->states[1].revision = 1;
    for (int64_t r = 2; r <= s->revision; r++) {
        const struct sim_truth *t = &s->truth[r];

        if (t->n == 0)
            sim_fail(s, "nobody has applied revision %" PRId64, r);
        j->states[r] = j->states[r - 1];
        apply_truth(&j->states[r], r, t);
        note_values(j, r, t);
    }
}

/* ---- who did what ---- */

static void claim(struct sim *s, struct sim_op *op, int64_t revision)
{
    struct sim_truth *t = &s->truth[revision];
    char text[160];

    if (t->claim != 0 && t->claim != op->number + 1) {
        model_text(&op->op, text, sizeof text);
        sim_fail(s, "two operations took revision %" PRId64 ", one of them%s", revision, text);
    }
    t->claim = op->number + 1;
    op->pinned = revision;
}

/* Whether an answered operation is what made the revision: its answer is that of one who did. */
static bool is_maker(struct judge *j, const struct sim_op *op, int64_t revision)
{
    struct model_state st = j->states[revision - 1];

    if (op->call > j->s->truth[revision].at)
        return false;
    j->scratch.n = 0;
    model_run(&st, &op->op, &j->scratch);
    return words_eq(&j->scratch, &op->answer) && memcmp(&st, &j->states[revision], sizeof st) == 0;
}

/* Whether running the operation on the state before gives the state of the revision. */
static bool explains(struct judge *j, const struct model_op *op, int64_t revision)
{
    struct model_state st = j->states[revision - 1];

    model_run(&st, op, NULL);
    return memcmp(&st, &j->states[revision], sizeof st) == 0;
}

/* A revoked lease may have had no keys left, and then another made the revision that it tells of:
 * those that say more of themselves come first. */
static void claim_answered(struct judge *j, bool revokes)
{
    struct sim *s = j->s;

    for (size_t i = 0; i < s->history.n; i++) {
        struct sim_op *op = s->history.v[i];
        int64_t revision;

        if (op->status != SIM_OK || !model_writes(&op->op) ||
            (op->op.form == MODEL_REVOKE) != revokes)
            continue;
        ASSERT(op->answer.n > 0);
        revision = (int64_t) op->answer.v[0];
        if (revision < 1 || revision > s->revision)
            sim_fail(s, "a write was acknowledged at revision %" PRId64 ", which is lost",
                     revision);
        op->pinned = revision;
        if (revision > 1 && is_maker(j, op, revision) &&
            (!revokes || s->truth[revision].claim == 0))
            claim(s, op, revision);
    }
}

/* The revision at which one of its values was put; 0: none was. */
static int64_t put_at(struct judge *j, const struct model_step *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const void *r = v[i].kind == MODEL_PUT ? map64_get(&j->by_value, v[i].value) : NULL;

        if (r != NULL)
            return (int64_t) (intptr_t) r;
    }
    return 0;
}

static void claim_unknown_puts(struct judge *j)
{
    struct sim *s = j->s;

    for (size_t i = 0; i < s->history.n; i++) {
        struct sim_op *op = s->history.v[i];
        int64_t r = put_at(j, op->op.then, op->op.then_n);
        char text[160];

        if (r == 0)
            r = put_at(j, op->op.other, op->op.other_n);
        if (r == 0 || op->status == SIM_OK)
            continue;
        model_text(&op->op, text, sizeof text);
        if (op->status == SIM_REFUSED)
            sim_fail(s, "refused with %s, and done at revision %" PRId64 ":%s",
                     api_error_text(op->err), r, text);
        if (s->truth[r].at < op->call)
            sim_fail(s, "done at revision %" PRId64 " before it was asked for:%s", r, text);
        claim(s, op, r);
    }
}

static bool is_all_deletes(const struct sim_truth *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (!t->v[i].is_delete)
            return false;
    return true;
}

/* An operation without an answer that would have deleted just this. */
static bool claim_by_unknown(struct judge *j, int64_t revision)
{
    struct sim *s = j->s;

    for (size_t i = 0; i < s->history.n; i++) {
        struct sim_op *op = s->history.v[i];

        if ((op->status != SIM_UNKNOWN && op->status != SIM_PENDING) || op->pinned != 0 ||
            op->call > s->truth[revision].at || !model_writes(&op->op) ||
            !explains(j, &op->op, revision))
            continue;
        claim(s, op, revision);
        return true;
    }
    return false;
}

/* A lease that ended takes all its keys along: an operation of nobody. */
static bool claim_by_lease(struct judge *j, int64_t revision)
{
    struct sim *s = j->s;
    const struct sim_truth *t = &s->truth[revision];
    int64_t lease = j->states[revision - 1].keys[t->v[0].key].lease;
    struct model_op end = {.form = MODEL_REVOKE, .lease = lease};
    struct sim_lease *l = lease == 0 ? NULL : sim_lease_of(s, lease);
    struct sim_op *op;

    if (l == NULL || !explains(j, &end, revision))
        return false;
    sim_lease_ended(s, l, revision, t->at);
    op = sim_op_new(s, 0);
    op->op = end;
    op->call = t->at;
    op->ret = LINEAR_NEVER;
    op->status = SIM_UNKNOWN;
    claim(s, op, revision);
    return true;
}

static void claim_the_rest(struct judge *j)
{
    struct sim *s = j->s;

    for (int64_t r = 2; r <= s->revision; r++) {
        const struct sim_truth *t = &s->truth[r];

        if (t->claim != 0)
            continue;
        if (!is_all_deletes(t) || (!claim_by_unknown(j, r) && !claim_by_lease(j, r)))
            sim_fail(s, "revision %" PRId64 " (%s of k%02u) is of nobody's asking", r,
                     t->v[0].is_delete ? "a deletion" : "a put", t->v[0].key);
    }
}

/* ---- 4 ---- */

/* Its answer, run on the state at `revision`, whose number is told as `shown`. */
static void check_read(struct judge *j, const struct sim_op *op, int64_t revision, int64_t shown)
{
    struct model_state st = j->states[revision];
    char text[160];

    j->scratch.n = 0;
    model_run(&st, &op->op, &j->scratch);
    j->scratch.v[0] = (uint64_t) shown;
    if (words_eq(&j->scratch, &op->answer))
        return;
    model_text(&op->op, text, sizeof text);
    for (size_t i = 0; i < MAX(j->scratch.n, op->answer.n); i++)
        sim_detail(j->s, NULL, "word %zu: expected %" PRIu64 ", answered %" PRIu64, i,
                   i < j->scratch.n ? j->scratch.v[i] : 0, i < op->answer.n ? op->answer.v[i] : 0);
    sim_fail(j->s, "a read at member %u shows what never was at revision %" PRId64 ":%s",
             op->member + 1, revision, text);
}

static void check_reads(struct judge *j)
{
    struct sim *s = j->s;

    for (size_t i = 0; i < s->history.n; i++) {
        const struct sim_op *op = s->history.v[i];
        int64_t shown;

        if (model_writes(&op->op) || (op->status != SIM_OK && op->status != SIM_REFUSED))
            continue;
        if (op->status == SIM_REFUSED) {
            if (op->err == API_COMPACTED && op->at_revision >= s->compact_asked)
                sim_fail(s, "revision %" PRId64 " was never compacted, but cannot be read",
                         op->at_revision);
            continue;
        }
        shown = (int64_t) op->answer.v[0];
        if (shown < 1 || shown > s->revision || op->at_revision > shown)
            sim_fail(s, "a read shows revision %" PRId64, shown);
        check_read(j, op, op->at_revision != 0 ? op->at_revision : shown, shown);
    }
}

/* ---- 1 ---- */

/* An answered operation fits where its answer is the model's; the others where they were found. */
static bool step(void *state, const void *data)
{
    const struct sim_op *op = data;
    struct model_state *st = state;
    struct words w = {0};
    bool fits;

    if (op->pinned != 0 && st->revision != op->pinned && st->revision + 1 != op->pinned)
        return false;
    model_run(st, &op->op, &w);
    fits = op->status == SIM_OK ? words_eq(&w, &op->answer) : st->revision == op->pinned;
    words_done(&w);
    return fits;
}

static bool is_judged(const struct sim_op *op)
{
    if (op->serializable || op->at_revision != 0)
        return false;
    return op->status == SIM_OK || (op->pinned != 0 && op->status != SIM_REFUSED);
}

/* Who is said to have made the revisions around one: for the trace. */
static void tell_around(struct sim *s, int64_t revision)
{
    char text[160];

    for (int64_t r = MAX(2, revision - 3); r <= MIN(s->revision, revision + 1); r++) {
        const struct sim_op *op = s->truth[r].claim == 0 ? NULL
                                                         : s->history.v[s->truth[r].claim - 1];

        if (op == NULL)
            continue;
        model_text(&op->op, text, sizeof text);
        sim_detail(s, NULL,
                   "revision %" PRId64 ", applied at %" PRId64 ".%06" PRId64
                   ", is client %u's%s, called at %" PRId64 ".%06" PRId64 ", status %d",
                   r, s->truth[r].at / SIM_S, s->truth[r].at % SIM_S / SIM_US, op->client + 1, text,
                   op->call / SIM_S, op->call % SIM_S / SIM_US, (int) op->status);
    }
}

/* What it was told beside what it should have been told, had it made its revision. */
static void tell_words(struct judge *j, const struct sim_op *op)
{
    struct model_state st = j->states[MAX(1, op->pinned - 1)];

    j->scratch.n = 0;
    model_run(&st, &op->op, &j->scratch);
    for (size_t i = 0; i < MAX(j->scratch.n, op->answer.n); i++)
        sim_detail(j->s, NULL, "word %zu: expected %" PRIu64 ", answered %" PRIu64, i,
                   i < j->scratch.n ? j->scratch.v[i] : 0, i < op->answer.n ? op->answer.v[i] : 0);
}

static void tell_stuck(struct judge *j, const struct sim_op *op, size_t ordered, size_t n)
{
    struct sim *s = j->s;
    char text[160];

    tell_around(s, op->pinned);
    tell_words(j, op);

    model_text(&op->op, text, sizeof text);
    sim_fail(s,
             "not linearizable: no place for client %u's%s at member %u, called at %" PRId64
             ".%06" PRId64 ", answered at %" PRId64 ".%06" PRId64 " with revision %" PRIu64
             " (%zu of %zu are in order)",
             op->client + 1, text, op->member + 1, op->call / SIM_S, op->call % SIM_S / SIM_US,
             op->ret / SIM_S, op->ret % SIM_S / SIM_US, op->answer.n > 0 ? op->answer.v[0] : 0,
             ordered, n);
}

static void check_linearizable(struct judge *j)
{
    static const struct linear_model model = {sizeof(struct model_state), step};
    struct sim *s = j->s;
    struct linear_op *ops = xmem_calloc(s->history.n + 1, sizeof *ops);
    struct model_state start = {.revision = 1};
    struct linear_result r;
    size_t n = 0;

    for (size_t i = 0; i < s->history.n; i++) {
        struct sim_op *op = s->history.v[i];

        if (!is_judged(op))
            continue;
        if (op->status == SIM_OK)
            op->pinned = (int64_t) op->answer.v[0];
        ops[n++] = (struct linear_op){op->call, op->status == SIM_OK ? op->ret : LINEAR_NEVER, op};
    }
    linear_check(ops, n, &model, &start, &r);
    sim_trace(s, NULL, "%zu operations, %" PRIu64 " steps of the search", n, r.steps);
    if (r.verdict == LINEAR_NO)
        tell_stuck(j, ops[r.stuck].data, r.ordered, n);
    if (r.verdict == LINEAR_GAVE_UP)
        sim_fail(s, "the search for an order of %zu operations took too long", n);
    mem_free(ops);
}

/* ---- 5 ---- */

static int64_t revision_of(struct sim_member *m)
{
    const struct mvcc_view *v = mvcc_view_pin(m->reader);
    int64_t r = mvcc_view_revision(v);

    mvcc_view_unpin(v);
    return r;
}

/* HashKV of a member, at once: its view is still. */
static void hash_of(struct sim_member *m, struct mvcc_hash_result *ret)
{
    const struct mvcc_view *v = mvcc_view_pin(m->reader);
    struct mvcc_hash *h;
    bool done = false;
    int rc = mvcc_hash_begin(v, 0, &h);

    mvcc_view_unpin(v);
    while (rc == 0 && !done)
        rc = mvcc_hash_step(h, 1000, &done);
    if (rc != 0)
        sim_fail(m->sim, "member %u has no HashKV: %d", m->index + 1, rc);
    mvcc_hash_result(h, ret);
    mvcc_hash_end(h);
}

static void check_end(struct sim *s)
{
    struct mvcc_hash_result first = {0}, h;
    struct sim_member *leader = sim_leader(s);
    bool any = false;

    if (leader == NULL)
        sim_fail(s, "no leader %d s after the last fault", SIM_HEAL_S);
    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        struct sim_member *m = &s->members[i];

        if (m->disk == NULL || !m->wanted || m->removed)
            continue;
        if (!m->up)
            sim_fail(s, "member %u is down at the end", i + 1);
        if (revision_of(m) != s->revision)
            sim_fail(s, "member %u is at revision %" PRId64 " of %" PRId64 " at the end", i + 1,
                     revision_of(m), s->revision);
        hash_of(m, &h);
        if (any && (h.hash != first.hash || h.compact_revision != first.compact_revision))
            sim_fail(s, "member %u has another HashKV than others have at the end", i + 1);
        first = h;
        any = true;
    }
}

/* In a world without faults every member that serves clients answers, and soon.  (One that does
 * not yet may take its time, as etcd's may: what it proposed of itself can have been in a
 * snapshot.) */
static void check_alive(struct sim *s)
{
    sim_ns from = (sim_ns) (s->options.seconds - SIM_HEAL_S + SIM_SETTLE_S) * SIM_S;
    char text[160];

    from = MAX(from, s->leader_since + 2 * SIM_S);
    for (size_t i = 0; i < s->history.n; i++) {
        const struct sim_op *op = s->history.v[i];

        if (op->call < from || op->status == SIM_OK || op->status == SIM_REFUSED)
            continue;
        model_text(&op->op, text, sizeof text);
        sim_fail(s, "no answer from member %u %d s after the last fault:%s", op->member + 1,
                 SIM_SETTLE_S, text);
    }
}

static void check_alarms(struct sim *s)
{
    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        struct node_alarm a;

        if (s->members[i].up && node_alarms(s->members[i].node, &a, 1) > 0)
            sim_fail(s, "member %u has an alarm of kind %d", i + 1, a.kind);
    }
}

void sim_judge(struct sim *s)
{
    struct judge j = {.s = s};

    check_end(s);
    check_alarms(s);
    check_alive(s);
    sim_watchers_end(s);
    replay(&j);
    claim_answered(&j, false);
    claim_answered(&j, true);
    claim_unknown_puts(&j);
    claim_the_rest(&j);
    check_reads(&j);
    sim_leases_end(s, &j.states[s->revision]);
    check_linearizable(&j);
}
