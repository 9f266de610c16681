/* transcript_commands.h -- the commands of interaction transcripts: etcd-io/raft's, and some of
 * our own:
 *
 *     add-nodes ... max-size-per-msg=N
 *     send-append a b log=TERM/INDEX entries=(TERM/INDEX,...) commit=N
 *                                      puts an append in flight that a leader might have sent
 *     read-index i CONTEXT
 *     report-snapshot a b [ok=true]    a learns what became of the snapshot that it sent to b
 *     restart i                        a crash: what storage has not written is gone
 */
#ifndef KETCH_TESTS_UNIT_ENGINE_RAFT_TRANSCRIPT_COMMANDS_H
#define KETCH_TESTS_UNIT_ENGINE_RAFT_TRANSCRIPT_COMMANDS_H

#include "unit/engine/raft/transcript_quorum.h"
#include "unit/engine/raft/transcript_work.h"

/* 0, or an error whose text ends the output. */
typedef int te_command(struct te *t, const struct dd_case *c);

static size_t te_ids(const struct te *t, const struct dd_case *c, raft_id *ids)
{
    size_t n = 0;

    for (size_t i = 0; i < c->args_n; i++)
        if (c->args[i].vals_n == 0)
            ids[n++] = strtoull(c->args[i].key, NULL, 10);
    (void) t;
    return n;
}

static struct te_node *te_first(struct te *t, const struct dd_case *c)
{
    ASSERT(c->args_n > 0);
    return te_node_of(t, strtoull(c->args[0].key, NULL, 10));
}

/* ---- members ---- */

static size_t te_id_list(const struct dd_case *c, const char *key, raft_id *ids)
{
    const struct dd_arg *a = dd_find(c, key);

    for (size_t i = 0; a != NULL && i < a->vals_n; i++)
        ids[i] = strtoull(a->vals[i], NULL, 10);
    return a == NULL ? 0 : a->vals_n;
}

static int te_add_nodes(struct te *t, const struct dd_case *c)
{
    raft_id voters[DD_VALS_MAX], learners[DD_VALS_MAX];
    const char *content = dd_val(c, "content", "");
    struct raft_snapshot s = {.data = bytes_str(content)};
    struct raft_config config = {
        .election_tick = 3,
        .heartbeat_tick = 1,
        .msg_bytes_max = dd_u64(c, "max-size-per-msg", UINT64_MAX),
        .committed_bytes_max = dd_u64(c, "max-committed-size-per-ready", 0),
        .inflight_max = (uint32_t) dd_u64(c, "inflight", 0x7fffffff),
        .pre_vote = dd_flag(c, "prevote"),
        .check_quorum = dd_flag(c, "checkquorum"),
        .async_storage_writes = dd_flag(c, "async-storage-writes"),
        .disable_conf_change_validation = dd_flag(c, "disable-conf-change-validation"),
        .step_down_on_removal = dd_flag(c, "step-down-on-removal"),
    };

    if (strcmp(dd_val(c, "read-only", "safe"), "lease-based") == 0)
        config.read_only = RAFT_READ_ONLY_LEASE_BASED;
    s.meta.conf_state.voters = (struct raft_ids){voters, te_id_list(c, "voters", voters)};
    s.meta.conf_state.learners = (struct raft_ids){learners, te_id_list(c, "learners", learners)};
    s.meta.index = dd_u64(c, "index", 0);
    s.meta.term = s.meta.index > 0 ? 1 : 0;
    for (uint64_t n = strtoull(c->args[0].key, NULL, 10); n > 0; n--)
        te_add_node(t, &config, &s);
    return 0;
}

/* Storage keeps what it has written; the state machine keeps nothing and starts from the storage's
 * snapshot. */
static int te_restart(struct te *t, const struct dd_case *c)
{
    struct te_node *n = te_first(t, c);
    struct raft_storage *m = raft_memory_storage_base(n->memory);
    struct raft_snapshot s;

    raft_free(n->raft);
    te_queue_done(&n->append_work);
    te_queue_done(&n->apply_work);
    (void) m->ops->snapshot(m, &s);
    while (n->history_n > 1 && n->history[n->history_n - 1]->meta.index > s.meta.index)
        mem_free(n->history[--n->history_n]);
    n->config.applied = s.meta.index;
    te_start(n);
    return 0;
}

static int te_raft_state(struct te *t, const struct dd_case *c)
{
    (void) c;
    for (size_t i = 0; i < t->nodes_n; i++) {
        const struct raft *r = t->nodes[i]->raft;

        te_print(t, "%" PRIu64 ": %s (%s) Term:%" PRIu64 " Lead:%" PRIu64 "\n", r->config.id,
                 raft_state_name(r->state),
                 raft__tracker_is_voter(&r->tracker, r->config.id) ? "Voter" : "Non-Voter", r->term,
                 r->lead);
    }
    return 0;
}

static int te_status(struct te *t, const struct dd_case *c)
{
    const struct raft *r = te_first(t, c)->raft;
    struct raft_status s;
    struct raft_peer_status p;

    raft_get_status(r, &s);
    for (size_t i = 0; s.state == RAFT_LEADER && i < s.peers_n; i++) {
        raft_get_peer(r, i, &p);
        te_print(t, "%" PRIu64 ": ", p.id);
        raft_describe_peer(&t->out, &p);
        te_print(t, "\n");
    }
    return 0;
}

/* ---- the log ---- */

static int te_raft_log(struct te *t, const struct dd_case *c)
{
    struct raft_storage *s = &te_first(t, c)->storage;
    raft_index first = s->ops->first_index(s), last = s->ops->last_index(s);
    struct raft_entry_list l = {0};
    int rc;

    if (last < first) {
        te_print(t, "log is empty: first index=%" PRIu64 ", last index=%" PRIu64, first, last);
        return 0;
    }
    rc = s->ops->entries(s, first, last + 1, UINT64_MAX, &l);
    raft_describe_entries(&t->out, l.v, l.n);
    raft_entry_list_done(&l);
    return rc;
}

static int te_compact(struct te *t, const struct dd_case *c)
{
    int rc = raft_memory_storage_compact(te_first(t, c)->memory,
                                         strtoull(c->args[1].key, NULL, 10));

    return rc != 0 ? rc : te_raft_log(t, c);
}

/* ---- events ---- */

static int te_campaign(struct te *t, const struct dd_case *c)
{
    raft_campaign(te_first(t, c)->raft);
    return 0;
}

static int te_propose(struct te *t, const struct dd_case *c)
{
    struct raft_entry e = {.data = bytes_str(c->args[1].key)};

    return raft_propose(te_first(t, c)->raft, &e, 1);
}

static int te_propose_conf_change(struct te *t, const struct dd_case *c)
{
    const char *transition = dd_val(c, "transition", "auto");
    struct raft *r = te_first(t, c)->raft;
    struct raft_conf_change_single v[DD_VALS_MAX];
    struct raft_conf_change_v2 v2 = {.changes = v};

    v2.changes_n = tq_parse_changes(c->input, v, DD_VALS_MAX);
    if (dd_flag(c, "v1")) {
        struct raft_conf_change v1 = {.type = v[0].type, .node_id = v[0].node_id};

        ASSERT(v2.changes_n == 1);
        return raft_propose_conf_change(r, &v1);
    }
    v2.transition = strcmp(transition, "implicit") == 0   ? RAFT_CONF_JOINT_IMPLICIT
                    : strcmp(transition, "explicit") == 0 ? RAFT_CONF_JOINT_EXPLICIT
                                                          : RAFT_CONF_AUTO;
    return raft_propose_conf_change_v2(r, &v2);
}

static int te_tick_election(struct te *t, const struct dd_case *c)
{
    struct te_node *n = te_first(t, c);

    for (uint32_t i = 0; i < n->config.election_tick; i++)
        raft_tick(n->raft);
    return 0;
}

static int te_tick_heartbeat(struct te *t, const struct dd_case *c)
{
    struct te_node *n = te_first(t, c);

    for (uint32_t i = 0; i < n->config.heartbeat_tick; i++)
        raft_tick(n->raft);
    return 0;
}

static int te_set_timeout(struct te *t, const struct dd_case *c)
{
    raft_set_randomized_election_timeout(te_first(t, c)->raft, (uint32_t) dd_u64(c, "timeout", 0));
    return 0;
}

static int te_transfer(struct te *t, const struct dd_case *c)
{
    raft_transfer_leader(te_node_of(t, dd_u64(c, "from", 0))->raft, dd_u64(c, "to", 0));
    return 0;
}

static int te_forget_leader(struct te *t, const struct dd_case *c)
{
    raft_forget_leader(te_first(t, c)->raft);
    return 0;
}

static int te_read_index(struct te *t, const struct dd_case *c)
{
    return raft_read_index(te_first(t, c)->raft, bytes_str(c->args[1].key));
}

static int te_report_unreachable(struct te *t, const struct dd_case *c)
{
    raft_report_unreachable(te_first(t, c)->raft, strtoull(c->args[1].key, NULL, 10));
    return 0;
}

static int te_report_snapshot(struct te *t, const struct dd_case *c)
{
    raft_report_snapshot(te_first(t, c)->raft, strtoull(c->args[1].key, NULL, 10),
                         dd_flag(c, "ok"));
    return 0;
}

static int te_send_snapshot(struct te *t, const struct dd_case *c)
{
    struct te_node *n = te_first(t, c);
    struct raft_message m = {.type = RAFT_MSG_SNAP,
                             .to = strtoull(c->args[1].key, NULL, 10),
                             .from = n->config.id,
                             .term = raft_get_term(n->raft),
                             .snapshot = n->history[n->history_n - 1]};

    te_push(&t->flight, &m);
    raft_describe_message(&t->out, &m);
    return 0;
}

/* TERM/INDEX. */
static struct raft_entry te_entry_id(const char *s)
{
    struct raft_entry e = {0};
    char *end;

    e.term = strtoull(s, &end, 10);
    ASSERT(*end == '/');
    e.index = strtoull(end + 1, NULL, 10);
    return e;
}

static int te_send_append(struct te *t, const struct dd_case *c)
{
    struct te_node *n = te_first(t, c);
    const struct dd_arg *a = dd_find(c, "entries");
    struct raft_entry prev = te_entry_id(dd_val(c, "log", "0/0")), v[DD_VALS_MAX];
    struct raft_message m = {.type = RAFT_MSG_APP,
                             .to = strtoull(c->args[1].key, NULL, 10),
                             .from = n->config.id,
                             .term = raft_get_term(n->raft),
                             .log_term = prev.term,
                             .index = prev.index,
                             .entries = v,
                             .commit = dd_u64(c, "commit", 0)};

    for (; a != NULL && m.entries_n < a->vals_n; m.entries_n++)
        v[m.entries_n] = te_entry_id(a->vals[m.entries_n]);
    te_push(&t->flight, &m);
    return 0;
}

/* ---- moving on ---- */

static void te_process_each(struct te *t, const struct dd_case *c, const char *what,
                            void (*process)(struct te *, struct te_node *))
{
    raft_id ids[DD_ARGS_MAX];
    size_t n = te_ids(t, c, ids);

    for (size_t i = 0; i < n; i++) {
        size_t from;

        if (n > 1)
            te_print(t, "> %" PRIu64 " %s\n", ids[i], what);
        from = t->out.len;
        process(t, te_node_of(t, ids[i]));
        if (n > 1)
            te_indent(t, from);
    }
}

static void te_append_once(struct te *t, struct te_node *n)
{
    te_process_work(t, n, &n->append_work, "append");
}

static void te_apply_once(struct te *t, struct te_node *n)
{
    te_process_work(t, n, &n->apply_work, "apply");
}

static int te_cmd_process_ready(struct te *t, const struct dd_case *c)
{
    te_process_each(t, c, "handling Ready", te_process_ready);
    return 0;
}

static int te_cmd_process_append(struct te *t, const struct dd_case *c)
{
    te_process_each(t, c, "processing append thread", te_append_once);
    return 0;
}

static int te_cmd_process_apply(struct te *t, const struct dd_case *c)
{
    te_process_each(t, c, "processing apply thread", te_apply_once);
    return 0;
}

static enum raft_message_type te_type(const char *name)
{
    int i = 0;

    while (i < RAFT_MSG_END &&
           strcmp(raft_message_type_name((enum raft_message_type) i), name) != 0)
        i++;
    return (enum raft_message_type) i;
}

static int te_deliver_msgs(struct te *t, const struct dd_case *c)
{
    enum raft_message_type type = te_type(dd_val(c, "type", ""));
    size_t n = 0;

    for (size_t i = 0; i < c->args_n; i++) {
        const struct dd_arg *a = &c->args[i];

        if (a->vals_n == 0)
            n += te_deliver(t, strtoull(a->key, NULL, 10), type, false);
        else if (strcmp(a->key, "drop") == 0)
            for (size_t j = 0; j < a->vals_n; j++)
                n += te_deliver(t, strtoull(a->vals[j], NULL, 10), type, true);
    }
    if (n == 0)
        te_print(t, "no messages");
    return 0;
}

static int te_parse_level(const char *name)
{
    static const char *const names[] = {"debug", "info", "warn", "error", "fatal", "none"};
    int i = 0;

    while (i < TE_LEVEL_NONE) {
        const char *a = names[i], *b = name;

        while (*a != '\0' && (*a | 0x20) == (*b | 0x20)) {
            a++;
            b++;
        }
        if (*a == '\0' && *b == '\0')
            break;
        i++;
    }
    return i;
}

static int te_log_level(struct te *t, const struct dd_case *c)
{
    t->level = te_parse_level(c->args[0].key);
    return 0;
}

static int te_cmd_stabilize(struct te *t, const struct dd_case *c)
{
    const char *level = dd_val(c, "log-level", NULL);
    int before = t->level;
    raft_id ids[DD_ARGS_MAX];
    size_t n = te_ids(t, c, ids);

    if (n == 0)
        for (; n < t->nodes_n; n++)
            ids[n] = n + 1;
    if (level != NULL)
        t->level = te_parse_level(level);
    te_stabilize(t, ids, n);
    if (t->level == TE_LEVEL_NONE)
        buf_clear(&t->out);
    t->level = before;
    return 0;
}

/* ---- dispatch ---- */

static const struct te_command_entry {
    const char *name;
    te_command *run;
} te_commands[] = {
    {"add-nodes", te_add_nodes},
    {"campaign", te_campaign},
    {"compact", te_compact},
    {"deliver-msgs", te_deliver_msgs},
    {"forget-leader", te_forget_leader},
    {"log-level", te_log_level},
    {"process-append-thread", te_cmd_process_append},
    {"process-apply-thread", te_cmd_process_apply},
    {"process-ready", te_cmd_process_ready},
    {"propose", te_propose},
    {"propose-conf-change", te_propose_conf_change},
    {"raft-log", te_raft_log},
    {"raft-state", te_raft_state},
    {"read-index", te_read_index},
    {"report-snapshot", te_report_snapshot},
    {"report-unreachable", te_report_unreachable},
    {"restart", te_restart},
    {"send-append", te_send_append},
    {"send-snapshot", te_send_snapshot},
    {"set-randomized-election-timeout", te_set_timeout},
    {"stabilize", te_cmd_stabilize},
    {"status", te_status},
    {"tick-election", te_tick_election},
    {"tick-heartbeat", te_tick_heartbeat},
    {"transfer-leadership", te_transfer},
};

static void te_handle(void *arg, const struct dd_case *c, struct buf *out)
{
    struct te *t = arg;
    int rc = ERR_INVALID;

    buf_clear(&t->out);
    for (size_t i = 0; i < ARRAY_LEN(te_commands); i++)
        if (strcmp(te_commands[i].name, c->cmd) == 0)
            rc = te_commands[i].run(t, c);
    if (t->level == TE_LEVEL_NONE) {
        (void) buf_add_str(out, rc != 0 ? raft_err_text(rc) : "ok");
        return;
    }
    if (rc != 0)
        te_print(t, "%s", raft_err_text(rc));
    if (t->out.len == 0)
        te_print(t, "ok");
    (void) buf_add_bytes(out, buf_bytes(&t->out));
}

#endif
