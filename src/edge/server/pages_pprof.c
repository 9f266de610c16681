/* /debug/pprof: of Go's profiles those that mean something in a C program.
 *
 * The CPU profile is what operators fetch; pprof reads it as it reads Go's.  The others tell of
 * Go's runtime: they are unknown here, in Go's words. */
#include "edge/server/server_int.h"
#include "sys/profile.h"

#define ROOT "/debug/pprof/"
#define SECONDS_DEFAULT 30
#define SECONDS_MAX 3600

struct profile_request {
    struct http_req *http;
    struct server *server;
    struct loop_timer timer;
};

static void respond_file(struct http_req *r, const char *name, struct bytes body)
{
    struct http_field f[PAGE_FIELDS_MAX];
    size_t n = pages_fields(r, f);
    const char *disposition = arena_printf(http_arena(r), "attachment; filename=\"%s\"", name);

    f[n++] = (struct http_field){"Content-Type", "application/octet-stream"};
    f[n++] = (struct http_field){"X-Content-Type-Options", "nosniff"};
    if (disposition != NULL)
        f[n++] = (struct http_field){"Content-Disposition", disposition};
    http_respond(r, 200, f, n, body);
}

static void refuse(struct http_req *r, int status, const char *text)
{
    struct http_field f[PAGE_FIELDS_MAX];
    size_t n = pages_fields(r, f);
    char *line = arena_printf(http_arena(r), "%s\n", text);

    f[n++] = (struct http_field){"Content-Type", "text/plain; charset=utf-8"};
    f[n++] = (struct http_field){"X-Content-Type-Options", "nosniff"};
    f[n++] = (struct http_field){"X-Go-Pprof", "1"};
    http_respond(r, status, f, n, line == NULL ? BYTES_EMPTY : bytes_str(line));
}

/* ---- the CPU profile ---- */

static void profile_done(struct loop_timer *t)
{
    struct profile_request *q = CONTAINER_OF(t, struct profile_request, timer);
    struct http_req *r = q->http;
    struct buf out;

    http_set_user(r, q->server); /* for the fields of its answer */
    buf_init(&out, PROFILE_RESULT_BYTES_MAX);
    if (profile_stop(&out))
        respond_file(r, "profile", buf_bytes(&out));
    else
        refuse(r, 500, "out of memory");
    buf_done(&out);
}

static void profile_canceled(struct http_req *r)
{
    struct profile_request *q = http_user(r);

    loop_timer_stop(http_loop(r), &q->timer);
    profile_stop(NULL);
    http_abort(r);
}

static int64_t seconds_of(struct http_req *r)
{
    struct bytes v;
    size_t pos = 0;
    int64_t n = 0;

    if (!http_query_next(http_query(r), "seconds", &pos, http_arena(r), &v))
        return SECONDS_DEFAULT;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return SECONDS_DEFAULT;
        n = MIN(n * 10 + (v.p[i] - '0'), (int64_t) SECONDS_MAX);
    }
    return n == 0 ? SECONDS_DEFAULT : n;
}

static void profile_page(struct http_req *r, struct server *s)
{
    struct profile_request *q = arena_calloc(http_arena(r), 1, sizeof *q);
    struct err e = ERR_INIT;
    int rc = q == NULL ? err_set(&e, ERR_NOMEM, "out of memory") : profile_start(&e);
    char *text;

    if (rc == 0) {
        q->http = r;
        q->server = s;
        loop_timer_init(&q->timer, profile_done);
        rc = loop_timer_start(http_loop(r), &q->timer, seconds_of(r) * 1000);
        if (rc != 0)
            profile_stop(NULL);
    }
    if (rc != 0) {
        text = arena_printf(http_arena(r), "Could not enable CPU profiling: %s", e.msg);
        refuse(r, 500, text == NULL ? e.msg : text);
        return;
    }
    http_set_user(r, q);
    http_on_cancel(r, profile_canceled);
}

/* ---- the others ---- */

/* The arguments with a NUL between them. */
static void cmdline_page(struct http_req *r, struct server *s)
{
    struct buf b;

    buf_init(&b, 1u << 20);
    for (size_t i = 0; s->o.argv != NULL && s->o.argv[i] != NULL; i++) {
        if (i > 0)
            buf_add_char(&b, '\0');
        buf_add_str(&b, s->o.argv[i]);
    }
    pages_respond(r, 200, "text/plain; charset=utf-8", true, buf_bytes(&b));
    buf_done(&b);
}

static void index_page(struct http_req *r)
{
    static const char page[] =
        "<html>\n<head><title>" ROOT "</title></head>\n<body>\n" ROOT "\n<ul>\n"
        "<li><a href='cmdline'>cmdline</a>: the arguments of this process</li>\n"
        "<li><a href='profile'>profile</a>: where the CPU time goes, for 30 s or ?seconds=N; to be "
        "read with pprof</li>\n"
        "<li><a href='symbol'>symbol</a>: how many symbols are told here: none, pprof reads them "
        "in the binary</li>\n</ul>\n</body>\n</html>\n";

    pages_respond(r, 200, "text/html; charset=utf-8", true, BYTES_LIT(page));
}

bool pages_pprof(struct http_req *r, struct server *s)
{
    struct bytes path = http_path(r), root = BYTES_LIT(ROOT), name;

    if (path.n < root.n || memcmp(path.p, root.p, root.n) != 0)
        return false;
    name = bytes_of(path.p + root.n, path.n - root.n);
    if (name.n == 0)
        index_page(r);
    else if (bytes_eq(name, BYTES_LIT("profile")))
        profile_page(r, s);
    else if (bytes_eq(name, BYTES_LIT("cmdline")))
        cmdline_page(r, s);
    else if (bytes_eq(name, BYTES_LIT("symbol")))
        pages_respond(r, 200, "text/plain; charset=utf-8", true, BYTES_LIT("num_symbols: 0\n"));
    else
        refuse(r, 404, "Unknown profile");
    return true;
}
