/* log_journal.c -- lines for systemd's journal, in its native protocol
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL): one datagram per entry, FIELD=value lines. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "obs/log_sink.h"

int log_journal_open(const char *socket_path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(socket_path) >= sizeof to.sun_path)
        return -1;
    memcpy(to.sun_path, socket_path, strlen(socket_path) + 1);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *) &to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

/* syslog(3)'s priorities. */
static int priority_of(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_DEBUG:
        return 7;
    case LOG_LEVEL_INFO:
        return 6;
    case LOG_LEVEL_WARN:
        return 4;
    case LOG_LEVEL_ERROR:
        return 3;
    case LOG_LEVEL_DPANIC:
    case LOG_LEVEL_PANIC:
    case LOG_LEVEL_FATAL:
        return 2;
    }
    UNREACHABLE();
}

/* "src/node/open.c": "node". */
static struct bytes package_of(const char *file)
{
    const char *end = strrchr(file, '/'), *begin = end;

    if (end == NULL)
        return BYTES_EMPTY;
    while (begin > file && begin[-1] != '/')
        begin--;
    return (struct bytes){(const uint8_t *) begin, (size_t) (end - begin)};
}

/* What the text may hold is not known to be one line: the form with a length is used. */
bool log_journal_send(int fd, enum log_level level, const char *file, const char *line, size_t n)
{
    struct bytes package = package_of(file);
    uint8_t size[8];
    char head[512];
    struct iovec v[3];
    struct msghdr m = {.msg_iov = v, .msg_iovlen = ARRAY_LEN(v)};
    int head_n = snprintf(head, sizeof head,
                          "PRIORITY=%d\nPACKAGE=%.*s\nSYSLOG_IDENTIFIER=%s\nMESSAGE\n",
                          priority_of(level), (int) MIN(package.n, (size_t) 256),
                          (const char *) package.p, program_invocation_short_name);

    if (head_n < 0 || (size_t) head_n >= sizeof head || n == 0)
        return false;
    for (int i = 0; i < 8; i++)
        size[i] = (uint8_t) ((uint64_t) (n - 1) >> (8 * i));
    v[0] = (struct iovec){head, (size_t) head_n};
    v[1] = (struct iovec){size, sizeof size};
    v[2] = (struct iovec){(void *) (uintptr_t) line, n}; /* its newline ends the field */
    return sendmsg(fd, &m, MSG_NOSIGNAL) >= 0;
}
