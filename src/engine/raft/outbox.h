/* outbox.h -- what one update will hand out, gathered while events are handled.
 *
 * Two of them take turns: one gathers, the other is what the caller looks at.  Everything in here
 * is a copy or a counted reference, so the log may change meanwhile.  While gathering, arrays move
 * as they grow; so places are kept as offsets, and turned into pointers when the box is closed.
 */
#ifndef KETCH_ENGINE_RAFT_OUTBOX_H
#define KETCH_ENGINE_RAFT_OUTBOX_H

#include "base/buf.h"
#include "engine/raft/raft.h"

/* Where the entries and the context of a message begin in the pools. */
struct raft_out_place {
    size_t entries_at;
    size_t context_at;
};

struct raft_out_list {
    struct raft_message *v;
    struct raft_out_place *places;
    size_t n;
    size_t cap;
};

struct raft_outbox {
    struct raft_out_list now;         /* may go at once */
    struct raft_out_list after_store; /* promises: only when what they promise is durable */
    struct raft_entry_list pool;      /* entries of the messages */
    struct buf contexts;              /* contexts of messages and read states */
    struct raft_snapshot **snapshots; /* owned copies that messages and the update point to */
    size_t snapshots_n;
    size_t snapshots_cap;
    struct raft_read_state *reads;
    size_t *reads_at;
    size_t reads_n;
    size_t reads_cap;
    struct raft_entry_list entries;   /* to be stored */
    struct raft_entry_list committed; /* to be applied */
};

void raft__outbox_init(struct raft_outbox *o);
void raft__outbox_done(struct raft_outbox *o);
void raft__outbox_clear(struct raft_outbox *o); /* keeps the memory */

/* Adds `m` to one of the two lists; its context and snapshot are copied.  Its entries are those
 * already added to o->pool from `entries_at` on.  At RAFT_MESSAGES_MAX the message is lost. */
void raft__outbox_add(struct raft_outbox *o, struct raft_out_list *to, const struct raft_message *m,
                      size_t entries_at);
void raft__outbox_add_read(struct raft_outbox *o, raft_index index, struct bytes context);
/* Returns borrowed, until the box is cleared. */
struct raft_snapshot *raft__outbox_keep_snapshot(struct raft_outbox *o,
                                                 const struct raft_snapshot *s);
bool raft__outbox_empty(const struct raft_outbox *o);
/* Pointers become valid; nothing more is added. */
void raft__outbox_close(struct raft_outbox *o);

#endif
