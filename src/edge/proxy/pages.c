/* pages.c -- what the proxy serves over plain HTTP: /health, /proxy/health (health.c), /metrics of
 * a member, /proxy/metrics of its own. */
#include "edge/proxy/proxy_int.h"
#include "engine/net/http_client.h"

/* /metrics under way. */
struct page {
    struct list link; /* of proxy->pages */
    struct http_req *req;
    struct http_client *client;
    struct loop_timer timer; /* a client cannot be freed in its own callback */
    struct proxy *proxy;
    struct buf body;
    bool failed;
};

void pages__error(struct http_req *r, int status, const char *text)
{
    http_error(r, status, text);
}

/* ---- /metrics ---- */

static void page_free(struct page *g)
{
    list_remove(&g->link);
    http_client_free(g->client);                /* which may end the request, and start the timer */
    loop_timer_stop(g->proxy->loop, &g->timer); /* invariant 7 */
    buf_done(&g->body);
    mem_free(g);
}

static void page_answer(struct loop_timer *t)
{
    struct page *g = CONTAINER_OF(t, struct page, timer);
    static const struct http_field type = {"Content-Type", "text/plain; version=0.0.4"};

    if (g->failed || g->body.failed)
        pages__error(g->req, 500, "Internal server error");
    else
        http_respond(g->req, 200, &type, 1, buf_bytes(&g->body));
    page_free(g);
}

static void page_done(struct page *g)
{
    int rc = loop_timer_start(g->proxy->loop, &g->timer, 0);

    ASSERT(rc == 0);
}

static void on_data(struct http_out *x, struct bytes part)
{
    struct page *g = http_out_user(x);

    buf_add_bytes(&g->body, part);
}

static void on_end(struct http_out *x, const char *why)
{
    struct page *g = http_out_user(x);

    g->failed = why != NULL;
    page_done(g);
}

static void member_metrics(struct http_req *r, struct proxy *p)
{
    struct upstream_address at = upstream_address(p->up, 0);
    struct http_client_options co = {
        .host = at.host, .port = at.port, .unix_path = at.unix_path, .tls = at.tls};
    struct page *g = xmem_calloc(1, sizeof *g);
    struct http_out_options o = {.method = "GET",
                                 .path = "/metrics",
                                 .timeout_ms = PROXY_PAGE_MS,
                                 .data = on_data,
                                 .end = on_end,
                                 .user = g};
    struct http_out *x;
    struct err e = ERR_INIT;

    g->proxy = p;
    g->req = r;
    list_init(&g->link);
    list_push(&p->pages, &g->link);
    loop_timer_init(&g->timer, page_answer);
    buf_init(&g->body, PROXY_PAGE_BYTES_MAX);
    g->client = http_client_new(p->loop, &co);
    if (http_client_request(g->client, &o, &x, &e) != 0) {
        g->failed = true;
        page_done(g);
    }
}

static void own_metrics(struct http_req *r, struct proxy *p)
{
    static const struct http_field type = {
        "Content-Type", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"};
    struct buf page;

    buf_init(&page, METRIC_PAGE_BYTES_MAX);
    if (metrics_write(p->options.metrics, &page))
        http_respond(r, 200, &type, 1, buf_bytes(&page));
    else
        pages__error(r, 500, "out of memory");
    buf_done(&page);
}

/* ---- routes ---- */

static const struct {
    const char *path;
    void (*serve)(struct http_req *r, struct proxy *p);
} ROUTES[] = {
    {"/metrics", member_metrics},
    {"/proxy/metrics", own_metrics},
    {"/health", health__serve},
    {"/proxy/health", health__serve_self},
};

void pages__serve(struct http_req *r, void *user)
{
    for (size_t i = 0; i < ARRAY_LEN(ROUTES); i++) {
        if (bytes_eq(http_path(r), bytes_str(ROUTES[i].path))) {
            ROUTES[i].serve(r, user);
            return;
        }
    }
    pages__error(r, 404, "404 page not found");
}

/* The proxy stops: each is answered soon. */
void pages__close(struct proxy *p)
{
    LIST_EACH (it, &p->pages) {
        struct page *g = CONTAINER_OF(it, struct page, link);

        g->failed = true;
        page_done(g);
    }
}
