#define _POSIX_C_SOURCE 200809L
#include "base/err.h"

#include <errno.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;

    ASSERT(code < 0);
    if (e == NULL)
        return code;
    e->code = code;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    return code;
}

int err_wrap(struct err *e, int rc, const char *fmt, ...)
{
    char old[ERR_MSG_BYTES];
    va_list ap;
    int n;

    if (e == NULL || rc == 0)
        return rc;
    if (e->code == 0) {
        e->code = rc;
        snprintf(old, sizeof old, "%s", err_text(rc));
    } else {
        snprintf(old, sizeof old, "%s", e->msg);
    }
    va_start(ap, fmt);
    n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t) n < sizeof e->msg)
        snprintf(e->msg + n, sizeof e->msg - (size_t) n, ": %s", old);
    return rc;
}

int err_from_errno(int errnum)
{
    switch (errnum) {
    case ENOMEM:
        return ERR_NOMEM;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case EAGAIN:
    case EINTR:
    case EMFILE:
    case ENFILE:
        return ERR_AGAIN;
    case EINVAL:
        return ERR_INVALID;
    case EOPNOTSUPP:
    case ENOSYS:
        return ERR_UNSUPPORTED;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    default:
        return ERR_IO;
    }
}

int err_sys(struct err *e, int errnum, const char *fmt, ...)
{
    int code = err_from_errno(errnum);
    char what[128];
    va_list ap;
    int n;

    if (e == NULL)
        return code;
    if (strerror_r(errnum, what, sizeof what) != 0)
        snprintf(what, sizeof what, "errno %d", errnum);
    e->code = code;
    va_start(ap, fmt);
    n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t) n < sizeof e->msg)
        snprintf(e->msg + n, sizeof e->msg - (size_t) n, ": %s", what);
    return code;
}

const char *err_text(int code)
{
    static _Thread_local char other[24];

    switch (code) {
#define X(name, num, text) \
    case num:              \
        return text;
        BASE_ERR_MAP(X)
#undef X
    default:
        snprintf(other, sizeof other, "error %d", code);
        return other;
    }
}
