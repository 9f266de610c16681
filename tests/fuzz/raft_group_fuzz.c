/* raft_group_fuzz.c -- four members of a raft group, and a world that the input directs.
 *
 * Three of them are voters at first.  Messages are delivered in any order, doubled and lost; writes
 * and applies finish late; members crash with what they had not stored, start again, compact their
 * logs and send snapshots; members are added, removed, promoted and demoted, also jointly;
 * leadership is transferred; reads are asked for.  All messages go through their encoding.
 *
 * Checked at every step: one leader per term; what is applied at an index is the same everywhere,
 * and so is all before it; term and commit index of a life never move back; a read sees all that
 * was applied anywhere when it was asked for.  At the end, when nothing fails any more and the
 * group was not changed, all must agree on a leader and on one more entry. */
#include "fuzz/raft_group.h"

#define INPUT_BYTES_MAX 4096

/* ---- what the input can ask for ---- */

static void propose_change(struct member *m)
{
    struct raft_conf_change_single v[3];
    struct raft_conf_change_v2 c = {.changes = v, .changes_n = pick(&in, 4)};

    c.transition = (enum raft_conf_transition) pick(&in, 3);
    for (size_t i = 0; i < c.changes_n; i++)
        v[i] = (struct raft_conf_change_single){(enum raft_conf_change_type) pick(&in, 4),
                                                1 + pick(&in, MEMBERS)};
    with_changes = true;
    (void) !raft_propose_conf_change_v2(m->raft, &c);
}

static void read_index(struct member *m)
{
    if (reads_n == READS_MAX)
        return;
    read_floor[reads_n] = applied_max;
    if (raft_read_index(m->raft, bytes_of(&reads_n, sizeof reads_n)) == 0)
        reads_n++;
}

static void propose(struct member *m, size_t n)
{
    static const uint8_t data[256] = {1, 2, 3};
    struct raft_entry e = {.data = bytes_of(data, n)};

    (void) !raft_propose(m->raft, &e, 1);
}

static void command(struct member *m, unsigned what)
{
    if (what < 8)
        propose(m, pick(&in, 40));
    else if (what < 10)
        read_index(m);
    else if (what == 10)
        propose_change(m);
    else if (what == 11)
        raft_transfer_leader(m->raft, 1 + pick(&in, MEMBERS));
    else if (what == 12)
        raft_campaign(m->raft);
    else if (what == 13)
        raft_report_unreachable(m->raft, 1 + pick(&in, MEMBERS));
    else if (what == 14)
        raft_report_snapshot(m->raft, 1 + pick(&in, MEMBERS), pick(&in, 2) == 0);
    else
        raft_forget_leader(m->raft);
}

static void deliver(unsigned what)
{
    size_t i;
    struct member *m;

    if (mail_n == 0)
        return;
    i = pick(&in, 256) % mail_n;
    m = &members[mail_to[i] - 1];
    if (what != 0)
        step(m, mail[i]);
    if (what != 1) { /* else it will come again */
        drop_bytes(mail[i]);
        forget(i);
    }
    if (m->raft != NULL)
        pump(m);
}

static void turn(void)
{
    struct member *m = &members[pick(&in, MEMBERS)];
    unsigned what = pick(&in, 64);

    if (what < 26) {
        deliver(what);
    } else if (m->raft == NULL) {
        start(m);
    } else if (what < 36) {
        for (unsigned n = what == 26 ? 6 : 1; n > 0; n--)
            raft_tick(m->raft);
        pump(m);
    } else if (what < 43) {
        store_one(m);
    } else if (what < 48) {
        apply_one(m);
    } else if (what == 48) {
        crash(m);
    } else if (what < 51) {
        compact(m);
    } else {
        command(m, pick(&in, 16));
        pump(m);
    }
}

/* ---- the end ---- */

static void work_off(void)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        while (members[i].store != NULL)
            store_one(&members[i]);
        while (members[i].apply != NULL)
            apply_one(&members[i]);
    }
    for (size_t n = mail_n; n > 0 && mail_n > 0; n--) {
        struct bytes b = mail[0];
        struct member *m = &members[mail_to[0] - 1];

        forget(0);
        step(m, b);
        drop_bytes(b);
        pump(m);
    }
}

static bool settled(raft_index from)
{
    raft_index at = members[0].applied;

    for (size_t i = 0; i + 1 < MEMBERS; i++) /* the fourth is a member of nothing */
        if (members[i].applied != at || raft_get_lead(members[i].raft) == RAFT_NONE)
            return false;
    return at > from;
}

/* Nothing fails any more: there must be a leader, and progress.  A removed or half-added member
 * that nobody tells of its fate can only be helped by an operator, so this is for groups that
 * stayed as they were. */
static void must_settle(void)
{
    raft_index from = applied_max;

    for (size_t i = 0; i < MEMBERS; i++)
        if (members[i].raft == NULL)
            start(&members[i]);
    for (unsigned round = 0; !settled(from); round++) {
        ASSERT(round < 400);
        for (size_t i = 0; i < MEMBERS; i++) {
            raft_tick(members[i].raft);
            if (raft_get_state(members[i].raft) == RAFT_LEADER)
                propose(&members[i], 1);
            /* As a transport does of a snapshot that did not arrive: here none is on the way. */
            for (raft_id to = 1; to <= MEMBERS && round % 8 == 7; to++)
                raft_report_snapshot(members[i].raft, to, false);
            pump(&members[i]);
        }
        for (unsigned k = 0; k < 8; k++)
            work_off();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    in = choices_of(data, MIN(size, (size_t) INPUT_BYTES_MAX));
    memset(states, 0, sizeof states);
    memset(leaders, 0, sizeof leaders);
    applied_max = mail_n = reads_n = 0;
    with_changes = false;
    options = pick(&in, 64);
    chance = pick(&in, 256);
    for (size_t i = 0; i < MEMBERS; i++)
        begin(&members[i], i + 1);
    while (!choices_over(&in))
        turn();
    if (!with_changes)
        must_settle();
    for (size_t i = 0; i < MEMBERS; i++) {
        crash(&members[i]);
        raft_memory_storage_free(members[i].disk);
    }
    while (mail_n > 0)
        drop_bytes(mail[--mail_n]);
    return 0;
}
