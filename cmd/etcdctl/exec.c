#define _DEFAULT_SOURCE
#include "etcdctl/exec.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/text.h"

#define STATUS_SIGNALED 255

NORETURN static void in_child(const char *const *argv, const struct exec_variable *v, size_t n,
                              int report)
{
    int null = open("/dev/null", O_RDONLY);
    sigset_t none;
    int why;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    fcntl(report, F_SETFD, FD_CLOEXEC);
    dup2(null, STDIN_FILENO);
    for (size_t i = 0; i < n; i++)
        setenv(v[i].name, v[i].value, 1);
    execvp(argv[0], (char *const *) (uintptr_t) argv);
    why = errno;
    if (write(report, &why, sizeof why) < 0)
        _exit(126);
    _exit(127);
}

struct exec_result exec_run(const char *const *argv, const struct exec_variable *v, size_t n)
{
    struct exec_result ret = {0};
    int report[2];
    pid_t pid;

    if (pipe(report) != 0)
        return (struct exec_result){.exec_errno = errno};
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        close(report[0]);
        in_child(argv, v, n, report[1]);
    }
    if (pid < 0)
        ret.exec_errno = errno;
    close(report[1]);
    /* The pipe closes without a word when the command runs. */
    if (pid > 0 && read(report[0], &ret.exec_errno, sizeof ret.exec_errno) <= 0)
        ret.exec_errno = 0;
    close(report[0]);
    while (pid > 0 && waitpid(pid, &ret.wait_status, 0) < 0 && errno == EINTR)
        ;
    return ret;
}

static void lower_first(struct buf *out, const char *s)
{
    buf_add_char(out, (char) tolower((unsigned char) s[0]));
    buf_add_str(out, s + 1);
}

void exec_failure(struct exec_result r, const char *const *argv, struct buf *out)
{
    if (r.exec_errno != 0 && strchr(argv[0], '/') != NULL) {
        buf_printf(out, "fork/exec %s: ", argv[0]);
        lower_first(out, strerror(r.exec_errno));
    } else if (r.exec_errno != 0) {
        buf_add_str(out, "exec: ");
        text_quote(out, bytes_str(argv[0]));
        buf_add_str(out, ": ");
        if (r.exec_errno == ENOENT)
            buf_add_str(out, "executable file not found in $PATH");
        else
            lower_first(out, strerror(r.exec_errno));
    } else if (WIFSIGNALED(r.wait_status)) {
        buf_add_str(out, "signal: ");
        lower_first(out, strsignal(WTERMSIG(r.wait_status)));
        if (WCOREDUMP(r.wait_status))
            buf_add_str(out, " (core dumped)");
    } else {
        buf_printf(out, "exit status %d", WEXITSTATUS(r.wait_status));
    }
}

int exec_status(struct exec_result r)
{
    if (r.exec_errno != 0)
        return 1;
    return WIFSIGNALED(r.wait_status) ? STATUS_SIGNALED : WEXITSTATUS(r.wait_status);
}
