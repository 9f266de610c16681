/* transcript_quorum.h -- commands of quorum/ and confchange/ transcripts. */
#ifndef KETCH_TESTS_UNIT_ENGINE_RAFT_TRANSCRIPT_QUORUM_H
#define KETCH_TESTS_UNIT_ENGINE_RAFT_TRANSCRIPT_QUORUM_H

#include "engine/raft/raft_int.h"
#include "unit/engine/raft/datadriven.h"

/* ---- quorum/ ---- */

struct tq {
    struct raft_id_set halves[2];
    raft_id order[DD_VALS_MAX]; /* each id once, as first named */
    size_t order_n;
    uint64_t values[DD_VALS_MAX]; /* by place in `order` */
    bool known[DD_VALS_MAX];
};

static size_t tq_place(const struct tq *q, raft_id id)
{
    size_t i = 0;

    while (i < q->order_n && q->order[i] != id)
        i++;
    return i;
}

static void tq_take_ids(struct tq *q, int half, const struct dd_arg *a)
{
    for (size_t i = 0; a != NULL && i < a->vals_n; i++) {
        raft_id id = strtoull(a->vals[i], NULL, 10);

        if (strcmp(a->vals[i], "zero") == 0)
            continue;
        ASSERT(raft__ids_add(&q->halves[half], id));
        if (tq_place(q, id) == q->order_n)
            q->order[q->order_n++] = id;
    }
}

static raft_index tq_acked(const void *arg, raft_id id)
{
    const struct tq *q = arg;

    return q->known[tq_place(q, id)] ? q->values[tq_place(q, id)] : 0;
}

static enum raft__vote tq_voted(const void *arg, raft_id id)
{
    const struct tq *q = arg;
    size_t i = tq_place(q, id);

    return !q->known[i] ? RAFT_VOTE_MISSING : q->values[i] == 1 ? RAFT_VOTE_YES : RAFT_VOTE_NO;
}

/* Values may be 1 and 2 for yes and no. */
static void tq_take_values(struct tq *q, const struct dd_arg *a)
{
    for (size_t i = 0; a != NULL && i < a->vals_n; i++) {
        const char *v = a->vals[i];

        q->known[i] = strcmp(v, "_") != 0;
        q->values[i] = strcmp(v, "y") == 0 ? 1 : strcmp(v, "n") == 0 ? 2 : strtoull(v, NULL, 10);
    }
}

/* How many ids of the union come before place `of` in order of (index, id) with a smaller index. */
static size_t tq_bar(const struct tq *q, const raft_id *ids, size_t n, size_t of)
{
    size_t bar = 0;
    raft_index mine = tq_acked(q, ids[of]);

    for (size_t i = 0; i < n; i++)
        bar += tq_acked(q, ids[i]) < mine;
    return bar;
}

static void tq_describe(const struct tq *q, struct buf *out)
{
    raft_id ids[2 * RAFT_MEMBERS_MAX];
    size_t n = raft__ids_union(&q->halves[0], &q->halves[1], ids);

    if (n == 0) {
        (void) buf_add_str(out, "<empty majority quorum>");
        return;
    }
    (void) buf_printf(out, "%*s    idx\n", (int) n, "");
    for (size_t i = 0; i < n; i++) {
        size_t bar = tq_bar(q, ids, n, i);

        if (q->known[tq_place(q, ids[i])]) {
            for (size_t j = 0; j < bar; j++)
                (void) buf_add_char(out, 'x');
            (void) buf_printf(out, ">%*s", (int) (n - bar), "");
        } else {
            (void) buf_printf(out, "?%*s", (int) n, "");
        }
        (void) buf_printf(out, " %5" PRIu64 "    (id=%" PRIx64 ")\n", tq_acked(q, ids[i]), ids[i]);
    }
}

static void tq_print_ids(struct buf *out, const raft_id *v, size_t n)
{
    (void) buf_add_char(out, '[');
    for (size_t i = 0; i < n; i++)
        (void) buf_printf(out, "%s%" PRIu64, i == 0 ? "" : " ", v[i]);
    (void) buf_add_char(out, ']');
}

static void tq_committed(const struct tq *q, struct buf *out)
{
    raft_index i = raft__joint_committed(&q->halves[0], &q->halves[1], tq_acked, q);

    tq_describe(q, out);
    if (i == RAFT_INDEX_INFINITE)
        (void) buf_add_str(out, "∞\n");
    else
        (void) buf_printf(out, "%" PRIu64 "\n", i);
}

static void tq_handle(void *arg, const struct dd_case *c, struct buf *out)
{
    static const char *const results[] = {"VotePending", "VoteLost", "VoteWon"};
    bool committed = strcmp(c->cmd, "committed") == 0;
    const struct dd_arg *values = dd_find(c, committed ? "idx" : "votes");
    struct tq q = {0};

    (void) arg;
    tq_take_ids(&q, 0, dd_find(c, "cfg"));
    tq_take_ids(&q, 1, dd_find(c, "cfgj"));
    if ((values == NULL ? 0 : values->vals_n) != q.order_n) {
        (void) buf_add_str(out, "error: mismatched input (explicit or _) for voters ");
        tq_print_ids(out, q.order, q.order_n);
        return;
    }
    tq_take_values(&q, values);
    if (committed)
        tq_committed(&q, out);
    else
        (void) buf_printf(out, "%s\n",
                          results[raft__joint_vote(&q.halves[0], &q.halves[1], tq_voted, &q)]);
}

/* ---- changes as text: v1 l2 r3 u4 ---- */

static size_t tq_parse_changes(const char *s, struct raft_conf_change_single *v, size_t max)
{
    size_t n = 0;

    while (*s != '\0' && n < max) {
        char *end;

        v[n].type = *s == 'v'   ? RAFT_CONF_ADD_NODE
                    : *s == 'l' ? RAFT_CONF_ADD_LEARNER_NODE
                    : *s == 'r' ? RAFT_CONF_REMOVE_NODE
                                : RAFT_CONF_UPDATE_NODE;
        v[n++].node_id = strtoull(s + 1, &end, 10);
        for (s = end; *s == ' '; s++)
            continue;
    }
    return n;
}

/* ---- confchange/ ---- */

struct tc {
    struct raft_tracker tracker;
    raft_index last;
};

static int tc_change(struct tc *t, const struct dd_case *c, struct err *e)
{
    struct raft_conf_change_single v[DD_VALS_MAX];
    size_t n = tq_parse_changes(c->input, v, DD_VALS_MAX);

    if (strcmp(c->cmd, "simple") == 0)
        return raft__conf_simple(&t->tracker, t->last, v, n, e);
    if (strcmp(c->cmd, "enter-joint") == 0)
        return raft__conf_enter_joint(&t->tracker, t->last, dd_flag(c, "autoleave"), v, n, e);
    ASSERT(strcmp(c->cmd, "leave-joint") == 0);
    if (n > 0)
        return err_set(e, ERR_INVALID, "this command takes no input");
    return raft__conf_leave_joint(&t->tracker, e);
}

static void tc_handle(void *arg, const struct dd_case *c, struct buf *out)
{
    struct tc *t = arg;
    struct err e = ERR_INIT;
    int rc = tc_change(t, c, &e);

    t->last++;
    if (rc != 0) {
        (void) buf_printf(out, "%s\n", e.msg);
        return;
    }
    (void) buf_printf(out, "%s\n", MEMBERS_TEXT(&t->tracker.members));
    for (size_t i = 0; i < t->tracker.n; i++)
        (void) buf_printf(out, "%" PRIu64 ": %s\n", t->tracker.progress[i].id,
                          PROGRESS_TEXT(&t->tracker.progress[i]));
}

#endif
