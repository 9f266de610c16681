/* confchange_fuzz.c -- sequences of configuration changes, simple and joint, beside bit masks. */
#include "fuzz/choices.h"
#include "unit/engine/raft/confchange_model.h"

#define CHANGES_MAX 5
#define INPUT_BYTES_MAX 4096

/* Returns who is removed by it, even if added again by what follows in the same change. */
static unsigned change(struct choices *c, struct raft_tracker *t, struct conf_model *m,
                       raft_index last)
{
    unsigned removed = 0;

    struct raft_conf_change_single v[CHANGES_MAX];
    struct raft_conf_change_v2 x = {.changes = v, .changes_n = pick(c, CHANGES_MAX + 1)};

    x.transition = (enum raft_conf_transition) pick(c, 3);
    for (size_t i = 0; i < x.changes_n; i++) {
        v[i] = (struct raft_conf_change_single){(enum raft_conf_change_type) pick(c, 4),
                                                pick(c, MODEL_IDS + 1)};
        if (v[i].type == RAFT_CONF_REMOVE_NODE)
            removed |= bit(v[i].node_id);
    }
    conf_step(t, m, last, &x);
    return removed;
}

/* What a member has acknowledged is not forgotten by a change that keeps it. */
static void acknowledge(struct choices *c, struct raft_tracker *t, raft_index match[MODEL_IDS + 1])
{
    raft_id id = 1 + pick(c, MODEL_IDS);
    struct raft_progress *p = raft__tracker_get(t, id);

    if (p == NULL)
        return;
    match[id] = MAX(match[id], p->match + 1 + pick(c, 4));
    ASSERT(raft__progress_maybe_update(p, match[id]));
}

static void check_progress(const struct raft_tracker *t, raft_index match[MODEL_IDS + 1],
                           unsigned removed)
{
    for (raft_id id = 1; id <= MODEL_IDS; id++) {
        const struct raft_progress *p = raft__tracker_get(t, id);

        if (p == NULL || ((removed & bit(id)) != 0 && p->match == 0))
            match[id] = 0;
        else
            ASSERT(p->match == match[id]);
    }
}

/* A quorum of each half of the configuration has acknowledged what counts as committed, and no more
 * is acknowledged by one. */
static void check_committed(const struct raft_tracker *t, const struct conf_model *m,
                            const raft_index match[MODEL_IDS + 1])
{
    raft_index at = raft__tracker_committed(t);
    unsigned halves[] = {m->in, m->out};
    bool beyond = true;

    for (size_t h = 0; h < ARRAY_LEN(halves); h++) {
        unsigned have = 0, more = 0;

        for (raft_id id = 1; id <= MODEL_IDS; id++) {
            have += (halves[h] & bit(id)) != 0 && match[id] >= at;
            more += (halves[h] & bit(id)) != 0 && match[id] > at;
        }
        ASSERT(halves[h] == 0 || 2 * have > count(halves[h]));
        beyond = beyond && (halves[h] == 0 || 2 * more > count(halves[h]));
    }
    ASSERT(!beyond);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices c = choices_of(data, MIN(size, (size_t) INPUT_BYTES_MAX));
    raft_index match[MODEL_IDS + 1] = {0};
    struct raft_tracker t;
    struct conf_model m;

    conf_begin(&t, &m, 1 + pick(&c, MODEL_IDS));
    for (raft_index i = 1; !choices_over(&c); i++) {
        unsigned removed = 0;

        if (pick(&c, 2) == 0)
            removed = change(&c, &t, &m, i);
        else
            acknowledge(&c, &t, match);
        check_progress(&t, match, removed);
        check_committed(&t, &m, match);
    }
    raft__tracker_done(&t);
    return 0;
}
