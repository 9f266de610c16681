/* command_int.h -- shared by the files that understand a command line. */
#ifndef KETCH_CMD_CLI_COMMAND_INT_H
#define KETCH_CMD_CLI_COMMAND_INT_H

#include "cli/command.h"

/* Index into c->values of the flag with this long name; c->value_count when it is unknown. */
size_t cli__find(const struct cli_call *c, struct bytes name);

/* Says what is wrong, in the program's style, with the usage of the command; an unknown command
 * name is no command's fault and gets a hint instead.  CLI_DONE. */
enum cli_verdict cli__report(struct cli_call *c, const char *text, bool unknown_name,
                             struct buf *out, struct buf *errs, int *ret_status);
enum cli_verdict cli__report_unknown(struct cli_call *c, const char *word, struct buf *out,
                                     struct buf *errs, int *ret_status);

#endif
