/* watch_exec.c -- the command that watch runs for each event. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/text.h"
#include "etcdctl/ctl.h"
#include "wire/wire.h"

struct variable {
    const char *name;
    const char *value;
};

/* fork and exec with four more variables; returns the wait status, or -1 with errno of the exec. */
static int run_command(const char *const *argv, const struct variable *v, size_t n)
{
    int failed_exec[2];
    int status = 0;
    int exec_errno = 0;
    pid_t pid;

    if (pipe(failed_exec) != 0)
        return -1;
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY);

        close(failed_exec[0]);
        fcntl(failed_exec[1], F_SETFD, FD_CLOEXEC);
        dup2(null, STDIN_FILENO);
        for (size_t i = 0; i < n; i++)
            setenv(v[i].name, v[i].value, 1);
        execvp(argv[0], (char *const *) (uintptr_t) argv);
        exec_errno = errno;
        if (write(failed_exec[1], &exec_errno, sizeof(exec_errno)) < 0)
            _exit(126);
        _exit(127);
    }
    close(failed_exec[1]);
    if (pid > 0 && read(failed_exec[0], &exec_errno, sizeof(exec_errno)) <= 0)
        exec_errno = 0;
    close(failed_exec[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid < 0 || exec_errno != 0) {
        errno = exec_errno != 0 ? exec_errno : errno;
        return -1;
    }
    return status;
}

/* "command ["a" "b"] error (why)" and the end of the program. */
static void command_failed(const char *const *argv, int wait_status, int exec_errno)
{
    struct buf b;

    buf_init(&b, CLI_PAGE_BYTES_MAX);
    buf_add_str(&b, "command [");
    for (const char *const *p = argv; *p != NULL; p++) {
        buf_add_str(&b, p == argv ? "" : " ");
        text_quote(&b, bytes_str(*p));
    }
    buf_add_str(&b, "] error (");
    if (wait_status == -1) {
        buf_add_str(&b, "exec: ");
        text_quote(&b, bytes_str(argv[0]));
        buf_printf(&b, ": %s",
                   exec_errno == ENOENT ? "executable file not found in $PATH"
                                        : strerror(exec_errno));
    } else if (WIFSIGNALED(wait_status)) {
        buf_printf(&b, "signal: %s", strsignal(WTERMSIG(wait_status)));
    } else {
        buf_printf(&b, "exit status %d", WEXITSTATUS(wait_status));
    }
    buf_add_str(&b, ")\n");
    cli_write(stderr, &b);
    buf_done(&b);
}

static const char *quoted(struct arena *a, struct bytes value)
{
    struct buf q;
    const char *ret;

    buf_init(&q, CTL_OUT_BYTES_MAX);
    text_quote(&q, value);
    ret = arena_printf(a, "%s", buf_cstr(&q));
    buf_done(&q);
    return ret;
}

bool watch_run_command(const char *const *argv, int64_t revision, const Mvccpb__Event *ev)
{
    static const Mvccpb__KeyValue nothing = MVCCPB__KEY_VALUE__INIT;
    const Mvccpb__KeyValue *kv = ev->kv != NULL ? ev->kv : &nothing;
    bool is_delete = ev->type == MVCCPB__EVENT__EVENT_TYPE__DELETE;
    struct arena a;
    int status;

    arena_init(&a, CTL_OUT_BYTES_MAX);
    const struct variable variables[] = {
        {"ETCD_WATCH_REVISION", arena_printf(&a, "%" PRId64, revision)},
        {"ETCD_WATCH_EVENT_TYPE", is_delete ? "\"DELETE\"" : "\"PUT\""},
        {"ETCD_WATCH_KEY", quoted(&a, wire_bytes(kv->key))},
        {"ETCD_WATCH_VALUE", quoted(&a, wire_bytes(kv->value))},
    };
    status = run_command(argv, variables, ARRAY_LEN(variables));
    if (status != 0)
        command_failed(argv, status, errno);
    arena_done(&a);
    return status == 0;
}
