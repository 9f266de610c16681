/* password.c -- passwords from a terminal that does not show them, or from a pipe.
 *
 * Standard input is read byte by byte: what stands behind a password is for whoever reads next.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include "etcdctl/ctl.h"

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

void ctl_ask_password(const char *prompt, struct buf *ret)
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

int ctl_ask_new_password(const char *user, struct buf *ret)
{
    struct buf prompt;
    struct buf again;
    int status = CTL_OK;

    buf_init(&prompt, CLI_PAGE_BYTES_MAX);
    buf_init(&again, CLI_PAGE_BYTES_MAX);
    buf_printf(&prompt, "Password of %s: ", user);
    ctl_ask_password(buf_cstr(&prompt), ret);
    if (ret->len == 0) {
        status = cli_fail(CTL_BAD_ARGS, "empty password");
    } else {
        buf_clear(&prompt);
        buf_printf(&prompt, "Type password of %s again for confirmation: ", user);
        ctl_ask_password(buf_cstr(&prompt), &again);
        if (!bytes_eq(buf_bytes(ret), buf_bytes(&again)))
            status = cli_fail(CTL_BAD_ARGS, "given passwords are different");
    }
    buf_done(&prompt);
    buf_done(&again);
    return status;
}

void ctl_read_password(struct buf *ret)
{
    char c = ' ';

    while ((c == ' ' || c == '\t') && read_byte(&c))
        ;
    for (bool more = true; more && strchr(" \t\r\n", c) == NULL; more = read_byte(&c))
        buf_add_char(ret, c);
}
