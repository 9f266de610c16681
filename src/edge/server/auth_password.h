/* auth_password.h -- calls with a password in them: logins (auth_login.c), and users whose password
 * is set (auth_user.c).  What is costly of them is done as jobs of auth_work.h.
 *
 *     password_call_new --> password_job_run --> (a thread of auth_work: `work`)
 *                                                       |
 *          password_call_propose, or the reply <-- password_job_back, in `done`
 *
 * The password is in the decoded message alone: whoever makes a password_call wipes the call's own
 * bytes.  It is wiped where it is no longer needed, at the latest when the call is answered.
 *
 * Threads: a call belongs to its loop; while a job of it is away, the fields marked so are the
 * thread's.
 */
#ifndef KETCH_EDGE_SERVER_AUTH_PASSWORD_H
#define KETCH_EDGE_SERVER_AUTH_PASSWORD_H

#include "edge/server/auth_work.h"
#include "edge/server/permit.h"
#include "edge/server/token.h"
#include "sys/password.h"

/* In the call's arena. */
struct password_call {
    struct auth_job job;
    struct call *call;
    struct io *io;
    struct req *applied;       /* the login's, while its token is signed */
    ProtobufCMessage *request; /* of a user whose password is set: decoded */

    /* Of the thread while a job is away. */
    char *password;
    char *name;
    uint8_t salt[PASSWORD_SALT_BYTES];
    unsigned cost;                      /* log2 of the rounds of bcrypt */
    char hash[PASSWORD_HASH_BYTES + 1]; /* made, or that of the user */
    size_t hash_n;
    bool ok;           /* the password fits; a hash was made */
    uint64_t revision; /* of users and roles when the hash was read; of the token */
    struct buf token;
    int made; /* token_make's result */
};

/* Overwrites the text, up to its end. */
void password_wipe(char *s);

/* The call's user from now on; a client that goes makes its job unwanted.  Borrows name and
 * password, which lie in the call's arena.  NULL: no memory, and the call was ended. */
struct password_call *password_call_new(struct call *c, char *name, char *password);

/* Has `work` done on a thread of auth_work, then `done` on the call's loop.  `prompt` as in
 * auth_work_submit.  When too many jobs wait the password is wiped and the call ended. */
void password_job_run(struct password_call *p, void (*work)(struct auth_job *j),
                      void (*done)(struct auth_job *j), bool prompt);

/* The first thing in `done`.  NULL: nobody waits any more; the password was wiped and the call
 * ended. */
struct password_call *password_job_back(struct auth_job *j);

/* Sends `m`, which is encoded here, through the log, then calls `then`.  Without memory the call is
 * ended. */
void password_call_propose(struct password_call *p, uint32_t op, const ProtobufCMessage *m,
                           void (*then)(struct req *r));

/* Decodes; false: it is none that every member would read alike, and the call was ended. */
bool auth_call_take(struct call *c, const ProtobufCMessageDescriptor *d, struct bytes *message,
                    void *ret);

/* The methods with passwords in them. */
void auth_call_authenticate(struct call *c, struct bytes message);
void auth_call_user_add(struct call *c, struct bytes message);
void auth_call_user_change_password(struct call *c, struct bytes message);

#endif
