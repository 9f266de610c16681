/* The HTTP pages: routes, version, metrics, and what every answer of a client listener carries. */
#include "edge/server/gateway.h"

#include <unistd.h>

#define PAGE_BYTES_MAX METRIC_PAGE_BYTES_MAX

/* A page of metrics that is longer, as nearly all are, is made in parts, each when the one before
 * has left and others had their turn: a part is made in some 15 us. */
#define METRICS_PART_BYTES (16u << 10)

/* ---- answers ---- */

static bool origin_allowed(const struct server *s, struct bytes origin)
{
    for (size_t i = 0; i < s->config->cors.n; i++) {
        if (bytes_eq(bytes_str(s->config->cors.v[i]), origin))
            return true;
    }
    return false;
}

/* The origin to be named in the answer; NULL: no CORS headers. */
static const char *cors_origin(struct http_req *r, struct server *s)
{
    struct bytes origin = BYTES_EMPTY;

    if (origin_allowed(s, BYTES_LIT("*")))
        return "*";
    if (!http_header(r, "origin", &origin) || !origin_allowed(s, origin))
        return NULL;
    return arena_printf(http_arena(r), "%.*s", (int) origin.n, (const char *) origin.p);
}

size_t pages_fields_of(struct http_req *r, struct server *s, struct http_field f[PAGE_FIELDS_MAX])
{
    const char *origin = s == NULL ? NULL : cors_origin(r, s);

    if (origin == NULL)
        return 0;
    f[0] = (struct http_field){"Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE"};
    f[1] = (struct http_field){"Access-Control-Allow-Origin", origin};
    f[2] = (struct http_field){"Access-Control-Allow-Headers",
                               "accept, content-type, authorization"};
    return 3;
}

size_t pages_fields(struct http_req *r, struct http_field f[PAGE_FIELDS_MAX])
{
    return pages_fields_of(r, http_user(r), f);
}

void pages_respond(struct http_req *r, int status, const char *type, bool nosniff,
                   struct bytes body)
{
    struct http_field f[PAGE_FIELDS_MAX];
    size_t n = pages_fields(r, f);

    f[n++] = (struct http_field){"Content-Type", type};
    if (nosniff)
        f[n++] = (struct http_field){"X-Content-Type-Options", "nosniff"};
    http_respond(r, status, f, n, body);
}

/* Go's http.Error: the text and a newline. */
void pages_error(struct http_req *r, int status, const char *text)
{
    char *line = arena_printf(http_arena(r), "%s\n", text);

    pages_respond(r, status, "text/plain; charset=utf-8", true,
                  line == NULL ? BYTES_EMPTY : bytes_str(line));
}

static bool is_path(struct http_req *r, const char *path)
{
    return bytes_eq(http_path(r), bytes_str(path));
}

bool pages_only_get(struct http_req *r)
{
    struct http_field f[PAGE_FIELDS_MAX];
    size_t n;

    if (bytes_eq(http_method(r), BYTES_LIT("GET")))
        return true;
    n = pages_fields(r, f);
    f[n++] = (struct http_field){"Allow", "GET"};
    f[n++] = (struct http_field){"Content-Type", "text/plain; charset=utf-8"};
    f[n++] = (struct http_field){"X-Content-Type-Options", "nosniff"};
    http_respond(r, 405, f, n, BYTES_LIT("Method Not Allowed\n"));
    return false;
}

/* ---- version ---- */

static void version_of(uint32_t v, const char *unknown, char *out, size_t cap)
{
    if (v == 0)
        snprintf(out, cap, "%s", unknown);
    else
        snprintf(out, cap, "%u.%u.0", v >> 16, v & 0xffff);
}

static void version_page(struct http_req *r, struct server *s)
{
    char cluster[24], storage[24], body[160];
    struct node_status st;

    if (!pages_only_get(r))
        return;
    node_status(s->node, &st);
    version_of(st.cluster_version, "not_decided", cluster, sizeof cluster);
    version_of(st.storage_version, "unknown", storage, sizeof storage);
    if (strcmp(s->config->emulated_version, "3.5") == 0)
        snprintf(body, sizeof body, "{\"etcdserver\":\"%s\",\"etcdcluster\":\"%s\"}", s->version,
                 cluster);
    else
        snprintf(body, sizeof body,
                 "{\"etcdserver\":\"%s\",\"etcdcluster\":\"%s\",\"storage\":\"%s\"}", s->version,
                 cluster, storage);
    pages_respond(r, 200, "application/json", false, bytes_str(body));
}

/* ---- metrics ---- */

static const char metrics_type[] = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

static void metrics_gone(struct http_req *r)
{
    http_abort(r);
}

static void metrics_write_part(struct http_req *r, struct bytes part)
{
    const struct metrics_page *page = http_user(r);
    struct net_piece piece = net_piece_copied(part.p, part.n);

    if (http_write(r, &piece, 1) != 0)
        http_abort(r);
    else if (page->done)
        http_end(r);
}

/* The part before has left, or nearly so, and the connection has its turn. */
static void metrics_next_part(struct http_req *r)
{
    struct buf part;

    buf_init(&part, PAGE_BYTES_MAX);
    if (metrics_page_add(http_user(r), METRICS_PART_BYTES, &part))
        metrics_write_part(r, buf_bytes(&part));
    else
        http_abort(r);
    buf_done(&part);
}

/* A page whose first part is not its last. */
static void metrics_in_parts(struct http_req *r, const struct metrics_page *page,
                             struct bytes first)
{
    struct metrics_page *kept = arena_dup(http_arena(r), page, sizeof *page);
    struct http_field f[PAGE_FIELDS_MAX];
    size_t n = pages_fields(r, f);

    if (kept == NULL) {
        pages_error(r, 500, "out of memory");
        return;
    }
    f[n++] = (struct http_field){"Content-Type", metrics_type};
    http_begin(r, 200, f, n);
    if (bytes_eq(http_method(r), BYTES_LIT("HEAD"))) {
        http_end(r);
        return;
    }
    http_set_user(r, kept);
    http_on_cancel(r, metrics_gone);
    http_on_writable(r, METRICS_PART_BYTES / 2, metrics_next_part);
    metrics_write_part(r, first);
}

static void metrics_page(struct http_req *r, struct server *s)
{
    struct metrics_page page;
    struct buf first;

    buf_init(&first, PAGE_BYTES_MAX);
    metrics_page_begin(s->metrics, &page);
    if (buf_reserve(&first, METRICS_PART_BYTES) == NULL ||
        !metrics_page_add(&page, METRICS_PART_BYTES, &first))
        pages_error(r, 500, "out of memory");
    else if (page.done)
        pages_respond(r, 200, metrics_type, false, buf_bytes(&first));
    else
        metrics_in_parts(r, &page, buf_bytes(&first));
    buf_done(&first);
}

/* ---- debug variables ---- */

static void add_json_string(struct buf *b, const char *s)
{
    buf_add_char(b, '"');
    for (; *s != 0; s++) {
        if (*s == '"' || *s == '\\')
            buf_printf(b, "\\%c", *s);
        else if ((unsigned char) *s < 0x20)
            buf_printf(b, "\\u%04x", (unsigned) (unsigned char) *s);
        else
            buf_add_char(b, *s);
    }
    buf_add_char(b, '"');
}

static void add_arguments(struct buf *b, char *const *argv)
{
    buf_add_str(b, "\"cmdline\": [");
    for (size_t i = 0; argv != NULL && argv[i] != NULL; i++) {
        if (i != 0)
            buf_add_char(b, ',');
        add_json_string(b, argv[i]);
    }
    buf_add_str(b, "]");
}

static void vars_page(struct http_req *r, struct server *s)
{
    struct node_status st;
    struct buf b;

    if (!pages_only_get(r))
        return;
    node_status(s->node, &st);
    buf_init(&b, 1u << 20);
    buf_add_str(&b, "{\n");
    add_arguments(&b, s->o.argv);
    buf_printf(&b, ",\n\"file_descriptor_limit\": %ld", sysconf(_SC_OPEN_MAX));
    buf_printf(&b,
               ",\n\"raft.status\": {\"id\":\"%" PRIx64 "\",\"term\":%" PRIu64
               ",\"commit\":%" PRIu64 ",\"lead\":\"%" PRIx64
               "\",\"raftState\":\"%s\",\"applied\":%" PRIu64 "}\n}\n",
               st.member_id, st.term, st.commit, st.leader,
               st.is_leader ? "StateLeader" : "StateFollower", st.applied);
    if (b.failed)
        pages_error(r, 500, "the command line is too long");
    else
        pages_respond(r, 200, "application/json; charset=utf-8", false, buf_bytes(&b));
    buf_done(&b);
}

/* ---- routes ---- */

/* "a.b:80" and "[::1]:80" without the port. */
static struct bytes host_name(struct bytes host)
{
    for (size_t i = host.n; i > 0; i--) {
        if (host.p[i - 1] == ']')
            break;
        if (host.p[i - 1] == ':') {
            host.n = i - 1;
            break;
        }
    }
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = bytes_of(host.p + 1, host.n - 2);
    return host;
}

/* The list is against pages of others that let a browser call us by a name of theirs (DNS
 * rebinding): whoever has come by TLS knows whom he asks. */
static bool host_allowed(struct http_req *r, const struct server *s)
{
    const struct strings *list = &s->config->host_whitelist;
    struct bytes host = host_name(http_host(r));

    if (list->n == 0 || http_over_tls(r))
        return true;
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->v[i], "*") == 0 || bytes_eq(bytes_str(list->v[i]), host))
            return true;
    }
    return false;
}

static void refuse_host(struct http_req *r)
{
    struct bytes host = host_name(http_host(r));
    char *text = arena_printf(
        http_arena(r),
        "\netcd received your request, but the Host header was unrecognized.\n\n"
        "To fix this, choose one of the following options:\n"
        "- Enable TLS, then any HTTPS request will be allowed.\n"
        "- Add the hostname you want to use to the whitelist in settings.\n"
        "  - e.g. etcd --host-whitelist \"%.*s\"\n\n"
        "This requirement has been added to help prevent \"DNS Rebinding\" attacks "
        "(CVE-2018-5702).\n",
        (int) host.n, (const char *) host.p);

    pages_error(r, 421, text == NULL ? "Host header was unrecognized" : text);
}

static void client_page(struct http_req *r, struct server *s)
{
    bool gateway = s->config->enable_grpc_gateway;
    bool pprof = s->config->enable_pprof || log_enabled(s->log, LOG_LEVEL_DEBUG);

    if (pages_path_moved(r))
        return;
    if (is_path(r, "/version"))
        version_page(r, s);
    else if (is_path(r, "/metrics"))
        metrics_page(r, s);
    else if (is_path(r, "/debug/vars"))
        vars_page(r, s);
    else if (gateway && is_path(r, "/v3"))
        pages_redirect(r, BYTES_LIT("/v3/"));
    else if (gateway && gateway_path(http_path(r)))
        gateway_serve(r, s);
    else if (pprof && is_path(r, "/debug/pprof"))
        pages_redirect(r, BYTES_LIT("/debug/pprof/"));
    else if (!(pprof && pages_pprof(r, s)) && !pages_health(r, s))
        pages_error(r, 404, "404 page not found");
}

/* A user who shows a certificate to the gateway would believe that it says who he is. */
static bool name_is_lost(const struct http_req *r, const struct server *s)
{
    return s->config->client_cert_auth && s->config->enable_grpc_gateway &&
           http_common_name(r) != NULL && *http_common_name(r) != '\0' &&
           auth_on(node_auth(s->node)) && gateway_path(http_path(r));
}

void pages_client(struct http_req *r, void *server)
{
    struct server *s = server;

    if (!host_allowed(r, s)) {
        refuse_host(r);
        return;
    }
    if (name_is_lost(r, s)) {
        pages_error(r, 400,
                    "CommonName of client sending a request against gateway will be ignored and "
                    "not used as expected");
        return;
    }
    http_set_user(r, s); /* from here on answers carry the CORS fields */
    if (bytes_eq(http_method(r), BYTES_LIT("OPTIONS"))) {
        struct http_field f[PAGE_FIELDS_MAX];

        http_respond(r, 200, f, pages_fields(r, f), BYTES_EMPTY);
        return;
    }
    client_page(r, s);
}

void pages_metrics(struct http_req *r, void *server)
{
    struct server *s = server;

    if (is_path(r, "/metrics"))
        metrics_page(r, s);
    else if (!pages_health(r, s))
        pages_error(r, 404, "404 page not found");
}
