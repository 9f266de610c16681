/* /health, /livez and /readyz: what load balancers and orchestrators ask. */
#include "edge/server/server_int.h"

/* ---- the read that checks need ---- */

enum check {
    CHECK_SERIALIZABLE_READ = 1,
    CHECK_LINEARIZABLE_READ = 2,
    CHECK_DATA_CORRUPTION = 4,
    CHECK_NON_LEARNER = 8,
};

/* The order of the lines; etcd's is random. */
static const struct {
    enum check check;
    const char *name;
} CHECKS[] = {
    {CHECK_DATA_CORRUPTION, "data_corruption"},
    {CHECK_SERIALIZABLE_READ, "serializable_read"},
    {CHECK_LINEARIZABLE_READ, "linearizable_read"},
    {CHECK_NON_LEARNER, "non_learner"},
};

#define LIVEZ CHECK_SERIALIZABLE_READ
#define READYZ \
    (CHECK_SERIALIZABLE_READ | CHECK_LINEARIZABLE_READ | CHECK_DATA_CORRUPTION | CHECK_NON_LEARNER)

struct health {
    struct req req;
    struct http_req *http;
    struct server *server;
    unsigned checks;  /* of enum check; 0: /health */
    const char *type; /* "livez" or "readyz" */
    bool verbose;
    bool single; /* a path that names one check */
    void (*answer)(struct health *h, const char *read_error);
};

/* One key, keys only, at the newest revision: NULL, or the error's text. */
static const char *local_read(struct health *h, struct io *io)
{
    Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;
    uint8_t zero = 0;
    const struct mvcc_view *v = mvcc_view_pin(io->reader);
    struct mvcc_range *g;
    int rc;

    q.key = (ProtobufCBinaryData){1, &zero};
    q.limit = 1;
    q.keys_only = true;
    rc = mvcc_range(v, &q, http_arena(h->http), &g);
    metric_inc(h->server->m.ranges);
    mvcc_view_unpin(v);
    if (rc == 0)
        return NULL;
    return mvcc_api_error(rc) == API_OK ? "out of memory" : api_error_text(mvcc_api_error(rc));
}

static void read_done(struct req *r)
{
    struct health *h = CONTAINER_OF(r, struct health, req);
    const struct node_result *res = &r->node.result;

    if (res->err != API_OK)
        h->answer(h, api_error_text(res->err));
    else if (res->code != GRPC_OK)
        h->answer(h, res->text);
    else
        h->answer(h, local_read(h, r->io));
}

static void read_begin(struct health *h, bool serializable)
{
    struct io *io = loop_user(http_loop(h->http));

    h->req = (struct req){
        .node = {.kind = NODE_REQ_READ_INDEX, .sink = &io->sink, .arena = http_arena(h->http)},
        .io = io,
        .then = read_done};
    if (serializable || node_read_now(h->server->node))
        read_done(&h->req);
    else
        req_submit(&h->req);
}

/* ---- /health ---- */

static void unhealthy(struct http_req *r, struct server *s, const char *reason, const char *detail)
{
    char *text = arena_printf(http_arena(r), "{\"health\":\"false\",\"reason\":\"%s%s\"}", reason,
                              detail);

    metric_inc(s->m.health_failures);
    LOG_WARN(s->log, "/health error", F_STR("output", text == NULL ? reason : text),
             F_I64("status-code", 503));
    pages_error(r, 503, text == NULL ? reason : text);
}

static void health_answer(struct health *h, const char *read_error)
{
    if (read_error != NULL) {
        LOG_WARN(h->server->log, "serving /health false; Range fails", F_STR("error", read_error));
        unhealthy(h->http, h->server, "RANGE ERROR:", read_error);
        return;
    }
    metric_inc(h->server->m.health_success);
    pages_respond(h->http, 200, "text/plain; charset=utf-8", false,
                  BYTES_LIT("{\"health\":\"true\",\"reason\":\"\"}"));
}

static bool excluded(struct http_req *r, const char *name)
{
    struct bytes v;
    size_t pos = 0;

    while (http_query_next(http_query(r), "exclude", &pos, http_arena(r), &v)) {
        if (bytes_eq(v, bytes_str(name)))
            return true;
    }
    return false;
}

static bool serializable(struct http_req *r)
{
    struct bytes v;
    size_t pos = 0;

    return http_query_next(http_query(r), "serializable", &pos, http_arena(r), &v) &&
           bytes_eq(v, BYTES_LIT("true"));
}

static void health_page(struct health *h)
{
    struct node_status st;
    const char *alarm = NULL;

    node_status(h->server->node, &st);
    if (st.alarm_nospace && !excluded(h->http, "NOSPACE"))
        alarm = "ALARM NOSPACE";
    else if (st.alarm_corrupt && !excluded(h->http, "CORRUPT"))
        alarm = "ALARM CORRUPT";
    if (alarm != NULL) {
        LOG_WARN(h->server->log, "serving /health false due to an alarm", F_STR("alarm", alarm));
        unhealthy(h->http, h->server, alarm, "");
        return;
    }
    if (st.leader == 0 && !serializable(h->http)) {
        LOG_WARN(h->server->log, "serving /health false; no leader");
        unhealthy(h->http, h->server, "RAFT NO LEADER", "");
        return;
    }
    h->answer = health_answer;
    read_begin(h, serializable(h->http));
}

/* ---- /livez and /readyz ---- */

static const char *check_error(const struct health *h, enum check c, const struct node_status *st,
                               const char *read_error)
{
    switch (c) {
    case CHECK_DATA_CORRUPTION:
        return st->alarm_corrupt ? "alarm activated: CORRUPT" : NULL;
    case CHECK_NON_LEARNER:
        return st->is_learner ? "not supported for learner" : NULL;
    case CHECK_SERIALIZABLE_READ:
        /* When a linearizable read was made too, its error is not that of the local one. */
        return (h->checks & CHECK_LINEARIZABLE_READ) == 0 ? read_error : NULL;
    case CHECK_LINEARIZABLE_READ:
        return read_error;
    }
    UNREACHABLE();
}

static void count_check(struct health *h, const char *name, bool ok)
{
    struct server *s = h->server;

    metric_set(metric_with(s->m.healthcheck, METRIC_LABELS(h->type, name)), ok);
    metric_inc(
        metric_with(s->m.healthchecks, METRIC_LABELS(h->type, name, ok ? "success" : "error")));
}

static void checks_answer(struct health *h, const char *read_error)
{
    struct node_status st;
    struct buf lines;
    bool ok = true;

    node_status(h->server->node, &st);
    buf_init(&lines, 65536);
    for (size_t i = 0; i < ARRAY_LEN(CHECKS); i++) {
        const char *why;

        if ((h->checks & CHECKS[i].check) == 0)
            continue;
        why = check_error(h, CHECKS[i].check, &st, read_error);
        count_check(h, CHECKS[i].name, why == NULL);
        if (why == NULL) {
            buf_printf(&lines, "[+]%s ok\n", CHECKS[i].name);
            continue;
        }
        ok = false;
        buf_printf(&lines, "[-]%s failed: %s\n", CHECKS[i].name, why);
    }
    if (!ok) {
        LOG_ERROR(h->server->log, "Health check error", F_STR("path", h->type),
                  F_BYTES("reason", buf_bytes(&lines)), F_I64("status-code", 503));
        pages_error(h->http, 503, buf_cstr(&lines));
    } else {
        if (!h->verbose)
            buf_clear(&lines);
        buf_add_str(&lines, "ok\n");
        pages_respond(h->http, 200, "text/plain; charset=utf-8", true, buf_bytes(&lines));
    }
    buf_done(&lines);
}

#define LOG_HANGS "no write to the log has finished for an election timeout"

static bool log_hangs(struct server *s)
{
    struct node_status st;

    node_status(s->node, &st);
    return st.log_hangs;
}

static void checks_page(struct health *h)
{
    struct bytes v;
    size_t pos = 0;

    h->verbose = http_query_next(http_query(h->http), "verbose", &pos, http_arena(h->http), &v);
    for (size_t i = 0; i < ARRAY_LEN(CHECKS) && !h->single; i++) {
        if (excluded(h->http, CHECKS[i].name))
            h->checks &= ~(unsigned) CHECKS[i].check;
    }
    h->answer = checks_answer;
    if ((h->checks & CHECK_LINEARIZABLE_READ) != 0 && log_hangs(h->server))
        checks_answer(h, LOG_HANGS); /* what is read must be applied, and that waits for the log */
    else if ((h->checks & CHECK_LINEARIZABLE_READ) != 0)
        read_begin(h, false);
    else if ((h->checks & CHECK_SERIALIZABLE_READ) != 0)
        read_begin(h, true);
    else
        checks_answer(h, NULL);
}

/* ---- routes ---- */

/* The checks behind "/livez" or "/readyz" or a path below it; 0: not such a path. */
static unsigned checks_of(struct bytes path, const char *root, unsigned all, bool *ret_single)
{
    size_t n = strlen(root);

    *ret_single = false;
    if (path.n < n || memcmp(path.p, root, n) != 0)
        return 0;
    if (path.n == n)
        return all;
    *ret_single = true;
    for (size_t i = 0; i < ARRAY_LEN(CHECKS) && path.p[n] == '/'; i++) {
        if (bytes_eq(bytes_of(path.p + n + 1, path.n - n - 1), bytes_str(CHECKS[i].name)))
            return all & CHECKS[i].check;
    }
    return 0;
}

bool pages_health(struct http_req *r, struct server *s)
{
    struct bytes path = http_path(r);
    bool is_health = bytes_eq(path, BYTES_LIT("/health")), single;
    const char *type = "livez";
    unsigned checks = checks_of(path, "/livez", LIVEZ, &single);
    struct health *h;

    if (checks == 0) {
        type = "readyz";
        checks = checks_of(path, "/readyz", READYZ, &single);
    }
    if (!is_health && checks == 0)
        return false;
    if (!pages_only_get(r))
        return true;
    h = arena_calloc(http_arena(r), 1, sizeof *h);
    if (h == NULL) {
        pages_error(r, 503, "out of memory");
        return true;
    }
    h->http = r;
    h->server = s;
    h->checks = checks;
    h->type = type;
    h->single = single;
    if (is_health)
        health_page(h);
    else
        checks_page(h);
    return true;
}
