/* others.h -- one member of three, and the other two played by the test: what the member sends them
 * is kept, and they answer as a quorum would, or not at all.
 *
 * They have no log: they acknowledge whatever comes.
 */
#ifndef KETCH_TESTS_LIB_OTHERS_H
#define KETCH_TESTS_LIB_OTHERS_H

#include "lib/node/member.h"
#include "lib/simdisk.h"

#define OTHERS_KEPT_MAX 256 /* messages; older ones are forgotten */

struct others {
    struct simdisk *disk;
    struct member m;
    struct node_transport transport;
    raft_id id[2]; /* who they are */
    bool silent;   /* they answer nothing */
    bool empty[2]; /* its log is: it refuses what follows on something */
    struct raft_message
        kept[OTHERS_KEPT_MAX]; /* what the member sent, without entries and context */
    size_t kept_n;
    struct payload *context; /* of the last MsgReadIndex */
};

/* The member is up and follows nobody yet. */
void others_init(struct others *o, uint64_t seed);
void others_done(struct others *o);
/* It leads and has applied all of its log, with the others' votes. */
void others_elect(struct others *o);
/* One of the others says this; entries and context are borrowed for the call. */
void others_say(struct others *o, int which, const struct raft_message *m);
/* Turns until nobody has anything to do; no time passes. */
void others_settle(struct others *o);
/* How many messages of this type the member has sent since kept_n was set to 0; *ret (or NULL): the
 * last one. */
size_t others_got(const struct others *o, enum raft_message_type t, struct raft_message *ret);

#endif
