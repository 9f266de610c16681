/* print_simple.h -- those functions of printer_simple that are in print_simple_auth.c. */
#ifndef KETCH_CMD_CLI_PRINT_SIMPLE_H
#define KETCH_CMD_CLI_PRINT_SIMPLE_H

#include "cli/print.h"

void simple_done(const struct print_what *w, const struct print_done *d);
void simple_role_get(const struct print_what *w, const Etcdserverpb__AuthRoleGetResponse *r);
void simple_role_list(const struct print_what *w, const Etcdserverpb__AuthRoleListResponse *r);
void simple_user_get(const struct print_what *w, const Etcdserverpb__AuthUserGetResponse *r);
void simple_user_list(const struct print_what *w, const Etcdserverpb__AuthUserListResponse *r);
void simple_auth_status(const struct print_what *w, const Etcdserverpb__AuthStatusResponse *r);

#endif
