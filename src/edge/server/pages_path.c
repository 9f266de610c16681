/* Paths as Go's multiplexer takes them: one that could be written shorter is sent to the shorter
 * one. */
#include "edge/server/server_int.h"

/* Go's path.Clean, a final slash kept: no empty elements, no "." and no "..".  Returns the length.
 * `out` has room for path.n + 1 bytes. */
static size_t clean(struct bytes path, char *out)
{
    size_t n = 0, i = 0;

    out[n++] = '/';
    while (i < path.n) {
        size_t end = i, len;

        while (end < path.n && path.p[end] != '/')
            end++;
        len = end - i;
        if (len == 2 && memcmp(path.p + i, "..", 2) == 0) {
            while (n > 1 && out[--n - 1] != '/') {
            }
        } else if (len > 0 && !(len == 1 && path.p[i] == '.')) {
            memcpy(out + n, path.p + i, len);
            n += len;
            if (end < path.n)
                out[n++] = '/';
        }
        i = end + 1;
    }
    if (n > 1 && out[n - 1] == '/' && path.p[path.n - 1] != '/')
        n--;
    return n;
}

void pages_redirect(struct http_req *r, struct bytes path)
{
    struct http_field f[PAGE_FIELDS_MAX];
    size_t n = pages_fields(r, f);
    bool shown = bytes_eq(http_method(r), BYTES_LIT("GET")) ||
                 bytes_eq(http_method(r), BYTES_LIT("HEAD"));
    struct bytes q = http_query(r);
    char *to = arena_printf(http_arena(r), "%.*s%s%.*s", (int) path.n, (const char *) path.p,
                            q.n > 0 ? "?" : "", (int) q.n, (const char *) q.p);
    char *body = NULL;

    if (to == NULL) {
        pages_error(r, 404, "404 page not found");
        return;
    }
    /* Only what a browser shows as it is goes into the page. */
    if (shown && strpbrk(to, "<>&\"'") == NULL)
        body = arena_printf(http_arena(r), "<a href=\"%s\">Temporary Redirect</a>.\n\n", to);
    if (shown)
        f[n++] = (struct http_field){"Content-Type", "text/html; charset=utf-8"};
    f[n++] = (struct http_field){"Location", to};
    http_respond(r, 307, f, n, body == NULL ? BYTES_EMPTY : bytes_str(body));
}

bool pages_path_moved(struct http_req *r)
{
    struct bytes path = http_path(r);
    char *out;
    size_t n;

    if (path.n == 0 || path.p[0] != '/')
        return false;
    out = arena_alloc(http_arena(r), path.n + 1);
    if (out == NULL)
        return false;
    n = clean(path, out);
    if (bytes_eq(path, bytes_of(out, n)))
        return false;
    pages_redirect(r, bytes_of(out, n));
    return true;
}
