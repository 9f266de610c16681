/* systemd's start-up protocol: sd_notify(3). */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "edge/server/server_int.h"

bool notify_ready(void)
{
    static const char text[] = "READY=1";
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = path == NULL ? 0 : strlen(path);
    bool sent;
    int fd;

    if (n == 0 || n >= sizeof to.sun_path)
        return false;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@')
        to.sun_path[0] = 0; /* the abstract name space */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    sent = sendto(fd, text, sizeof text - 1, MSG_NOSIGNAL, (const struct sockaddr *) &to,
                  (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n)) ==
           (ssize_t) sizeof text - 1;
    close(fd);
    return sent;
}
