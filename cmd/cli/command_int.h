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

/* Does this word, taken for a flag of the call's command, swallow the next one? */
bool cli__takes_next(const struct cli_call *c, const char *word);

/* Goes down the tree as far as the words lead; what is left of them is kept in argv[0..*argc).  The
 * call then has its path and the values of its command's flags. */
void cli__find_command(struct cli_call *c, size_t *argc, const char **argv);

/* The subcommands that are shown, by name; returns how many were written to `ret`. */
size_t cli__sorted_subs(const struct cli_command *cmd, const struct cli_command *ret[CLI_SUBS_MAX]);

/* completion.c: when the line is `__complete WORDS...`, and the program has a completion command,
 * answers it.  False: it is another line. */
bool cli__complete(const struct cli_program *p, int argc, char **argv, int *ret_status);

/* The pure part: appends to `out` what may stand in place of the last word, one a line, and the
 * directive. */
void cli__candidates(const struct cli_program *p, size_t argc, const char *const *argv,
                     bool with_text, struct buf *out);

/* completion_scripts.c: NULL: no such shell.  "PROGRAM" in it stands for the program's name. */
const char *cli__completion_script(const char *shell);

#endif
