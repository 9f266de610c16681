/* member.h -- a whole member on one thread: the real node over a simulated disk, clock and chance.
 *
 * member_open makes the actors ready; member_run turns them, time passing, until nothing more
 * happens or a condition holds. What the node calls fatal ends up in `died`.
 */
#ifndef KETCH_TESTS_LIB_MEMBER_H
#define KETCH_TESTS_LIB_MEMBER_H

#include <setjmp.h>

#include "node/node.h"
#include "node/transport.h"

struct member {
    struct disk *disk;
    struct random_seeded chance;
    struct clock clock;
    mono_ns now;
    struct node_config cfg;
    struct node *node;
    struct node_sink sink;
    struct mvcc_reader *reader;
    struct log *log;                        /* NULL: silent */
    const struct node_transport *transport; /* NULL: there are no others */
    size_t answered;
    char died[1024]; /* why, when it did */
    jmp_buf death;
    bool woken[NODE_ACTORS];
    bool held[NODE_ACTORS];     /* it gets no turn: a disk that hangs, a thread that is not run */
    mono_ns again[NODE_ACTORS]; /* when the actor wants to run unasked; INT64_MAX: not */
};

/* A request and the memory of its answer. */
struct call {
    struct node_request r;
    bool answered;
};

/* What a new member that is alone is configured with: all of it static but `data_dir`. */
struct node_config member_config(const char *data_dir);

/* The message as another member's would come from the wire; the node frees it. */
struct node_message *member_message(const struct raft_message *m);

void member_init(struct member *m, struct disk *disk, uint64_t seed);

/* 0, or node_open's error.  -1: the member died while starting. */
int member_open(struct member *m, struct err *e);

/* Runs until *until (NULL: never) is set or `ms` of simulated time have passed.  False: it died. */
bool member_run(struct member *m, int64_t ms, const bool *until);

/* One turn of each actor that is due; time does not pass.  False: nothing was due, or it died. */
bool member_turn(struct member *m);

/* Stops in order and closes. */
void member_close(struct member *m);

/* What a dying process leaves in memory is nobody's.  Between the two a leak checker looks away. */
void member_may_die(void);
void member_must_live(void);

/* Drops the member as a crash would: nothing is flushed; the disk must have been crashed before. */
void member_abandon(struct member *m);

/* A proposal of `msg` under field number `op`, answered or died when it returns.  Free with
 * call_free. */
struct call *member_propose(struct member *m, uint32_t op, const ProtobufCMessage *msg);
struct call *member_ask(struct member *m, enum node_request_kind kind, int64_t lease_or_revision);
struct call *member_submit(struct member *m, uint32_t op,
                           const ProtobufCMessage *msg); /* does not wait */
/* In the name of a user; NULL: nobody. */
struct call *member_submit_as(struct member *m, uint32_t op, const ProtobufCMessage *msg,
                              const char *user, uint64_t auth_revision);
void call_free(struct call *c);

/* The revision of the put, or 0 when it was refused or the member died. */
int64_t member_put(struct member *m, const char *key, const char *value);

/* The value of a key in the newest view, copied into ret (NUL-terminated); false: no such key. */
bool member_get(struct member *m, const char *key, char *ret, size_t n, int64_t *ret_mod);

#endif
