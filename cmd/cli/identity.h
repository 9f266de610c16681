/* identity.h -- who the user of a tool is: passwords, certificates.
 *
 * Standard input is read byte by byte: what stands behind a password is for whoever reads next.
 */
#ifndef KETCH_CMD_CLI_IDENTITY_H
#define KETCH_CMD_CLI_IDENTITY_H

#include "cli/command.h"

/* Writes the prompt to stdout and appends one line of standard input, which a terminal does not
 * show.  When the user would rather stop (a signal), the terminal is given back as it was. */
void cli_ask_password(const char *prompt, struct buf *ret);

/* Asks for the password of a user twice; ERR_INVALID when it is empty or was typed differently. */
NODISCARD int cli_ask_new_password(const char *user, struct buf *ret, struct err *e);

/* The first word of the first line of standard input; "" when there is none. */
void cli_read_password(struct buf *ret);

/* A user and its password: the password from a flag of its own (""), from NAME:PASSWORD, or asked
 * for.  Strings live in the arena, or are those given.  user "": nothing is asked. */
void cli_split_user(const char *user, const char *password, const char *prompt, struct arena *a,
                    const char **ret_user, const char **ret_password);

/* Are --cert and --key given together, and can they and --cacert be read?  ERR_INVALID with Go's
 * words. */
NODISCARD int cli_check_tls_files(const struct cli_call *c, struct err *e);

#endif
