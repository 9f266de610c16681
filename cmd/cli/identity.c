/* identity.c -- passwords from a terminal that does not show them, or from a pipe; certificates. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include "cli/identity.h"

/* The terminal as it was, for the handler that gives it back when the user would rather stop. */
static struct termios shown;

static const int stopping[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP};

static void on_signal(int signal)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &shown);
    raise(signal); /* the default again (SA_RESETHAND), once the handler has returned */
}

static void hide(void)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = (int) SA_RESETHAND};
    struct termios hidden = shown;

    for (size_t i = 0; i < ARRAY_LEN(stopping); i++)
        sigaction(stopping[i], &a, NULL);
    hidden.c_lflag &= ~(tcflag_t) ECHO;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
}

static void show(void)
{
    tcsetattr(STDIN_FILENO, TCSADRAIN, &shown);
    for (size_t i = 0; i < ARRAY_LEN(stopping); i++)
        signal(stopping[i], SIG_DFL);
}

static bool read_byte(char *ret)
{
    ssize_t n;

    do {
        n = read(STDIN_FILENO, ret, 1);
    } while (n < 0 && errno == EINTR);
    return n == 1;
}

void cli_ask_password(const char *prompt, struct buf *ret)
{
    bool terminal = tcgetattr(STDIN_FILENO, &shown) == 0;
    char c;

    if (terminal) /* before the prompt: whoever sees it may type */
        hide();
    fputs(prompt, stdout);
    fflush(stdout);
    while (read_byte(&c) && c != '\n')
        buf_add_char(ret, c);
    if (terminal)
        show();
    if (ret->len > 0 && ret->p[ret->len - 1] == '\r')
        ret->len--;
    fputs("\n", stdout);
    fflush(stdout);
}

static int ask_twice(const char *user, struct buf *prompt, struct buf *ret, struct buf *again,
                     struct err *e)
{
    buf_printf(prompt, "Password of %s: ", user);
    cli_ask_password(buf_cstr(prompt), ret);
    if (ret->len == 0)
        return err_set(e, ERR_INVALID, "empty password");
    buf_clear(prompt);
    buf_printf(prompt, "Type password of %s again for confirmation: ", user);
    cli_ask_password(buf_cstr(prompt), again);
    if (!bytes_eq(buf_bytes(ret), buf_bytes(again)))
        return err_set(e, ERR_INVALID, "given passwords are different");
    return 0;
}

int cli_ask_new_password(const char *user, struct buf *ret, struct err *e)
{
    struct buf prompt;
    struct buf again;
    int rc;

    buf_init(&prompt, CLI_PAGE_BYTES_MAX);
    buf_init(&again, CLI_PAGE_BYTES_MAX);
    rc = ask_twice(user, &prompt, ret, &again, e);
    buf_done(&prompt);
    buf_done(&again);
    return rc;
}

void cli_read_password(struct buf *ret)
{
    char c = ' ';

    while ((c == ' ' || c == '\t') && read_byte(&c))
        ;
    for (bool more = true; more && strchr(" \t\r\n", c) == NULL; more = read_byte(&c))
        buf_add_char(ret, c);
}

void cli_split_user(const char *user, const char *password, const char *prompt, struct arena *a,
                    const char **ret_user, const char **ret_password)
{
    const char *colon = strchr(user, ':');
    struct buf typed;

    *ret_user = user;
    *ret_password = password;
    if (user[0] == 0 || password[0] != 0)
        return;
    if (colon != NULL) {
        *ret_user = arena_printf(a, "%.*s", (int) (colon - user), user);
        *ret_password = colon + 1;
        return;
    }
    buf_init(&typed, CLI_PAGE_BYTES_MAX);
    cli_ask_password(prompt, &typed);
    *ret_password = arena_printf(a, "%s", buf_cstr(&typed));
    buf_done(&typed);
}

/* ---- certificates ---- */

static int check_readable(const char *path, struct err *e)
{
    if (path[0] == 0 || access(path, R_OK) == 0)
        return 0;
    return err_set(e, ERR_INVALID, "open %s: %s", path,
                   errno == ENOENT ? "no such file or directory" : "permission denied");
}

int cli_check_tls_files(const struct cli_call *c, struct err *e)
{
    static const char *const flags[] = {"cert", "key", "cacert"};
    const char *cert = cli_string(c, "cert");
    const char *key = cli_string(c, "key");
    int rc = 0;

    if ((cert[0] == 0) != (key[0] == 0))
        return err_set(e, ERR_INVALID,
                       "KeyFile and CertFile must both be present[key: %s, cert: %s]", key, cert);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(flags); i++)
        rc = check_readable(cli_string(c, flags[i]), e);
    return rc;
}
