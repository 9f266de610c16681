/* auth_lines.h -- the log lines about changes of users and roles.  Private to node/apply.
 *
 * auth_lines_begin before the change, auth_lines_end with what came of it; both for requests that
 * are about users and roles.  Threads: apply.
 */
#ifndef KETCH_NODE_APPLY_AUTH_LINES_H
#define KETCH_NODE_APPLY_AUTH_LINES_H

#include "node/apply/apply.h"

struct auth_lines {
    struct arena arena;
    struct log_field roles; /* of the user, before */
    bool was_on;
    bool had_role;
};

void auth_lines_begin(struct node *n, const Etcdserverpb__InternalRaftRequest *r,
                      struct auth_lines *l);
void auth_lines_end(struct node *n, const Etcdserverpb__InternalRaftRequest *r, enum api_error err,
                    struct auth_lines *l);

#endif
