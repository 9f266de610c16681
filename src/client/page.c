/* page.c -- what an endpoint serves to browsers and scrapers, such as /metrics. */
#include "client/client_int.h"
#include "engine/net/http_client.h"

struct page {
    struct buf body;
    struct ketch_error error;
    int status;
    bool done;
};

static void on_data(struct http_out *x, struct bytes part)
{
    struct page *p = http_out_user(x);

    buf_add_bytes(&p->body, part);
}

static void on_end(struct http_out *x, const char *why)
{
    struct page *p = http_out_user(x);

    p->status = http_out_status(x);
    if (why != NULL)
        client__error(&p->error, KETCH_UNAVAILABLE, "%s", why);
    p->done = true;
}

static void fetch(struct ketch_client *c, struct http_client *http, const char *path,
                  int64_t timeout_ms, struct page *p)
{
    struct http_out_options o = {.method = "GET",
                                 .path = path,
                                 .timeout_ms = timeout_ms,
                                 .data = on_data,
                                 .end = on_end,
                                 .user = p};
    struct err e = ERR_INIT;
    struct http_out *x;

    if (http_client_request(http, &o, &x, &e) != 0)
        client__error(&p->error, KETCH_E_NO_MEMORY, "%s", e.msg);
    else
        loop_run_until(client_loop(c), &p->done);
}

int ketch_page(struct ketch_client *c, size_t endpoint, const char *path, int64_t timeout_ms,
               char **ret, struct ketch_error *e)
{
    const struct endpoint *ep = &c->endpoints[endpoint];
    struct http_client_options o = {
        .host = ep->address.host,
        .port = ep->address.port,
        .unix_path = ep->address.unix_path,
        .tls = ep->uses_tls ? c->tls : NULL,
        .connect_timeout_ms = c->options.dial_timeout_ms,
    };
    struct page p = {0};
    struct http_client *http;

    ASSERT(endpoint < c->endpoint_count);
    buf_init(&p.body, CLIENT_PAGE_BYTES_MAX);
    http = http_client_new(client_loop(c), &o);
    fetch(c, http, path, timeout_ms, &p);
    http_client_free(http);
    if (p.error.code == KETCH_OK && p.status != 200)
        client__error(&p.error, KETCH_UNAVAILABLE, "%s: HTTP status %d", path, p.status);
    if (p.error.code == KETCH_OK && p.body.failed)
        client__error(&p.error, KETCH_E_BAD_REPLY, "%s: the page is too large", path);
    if (p.error.code == KETCH_OK)
        *ret = xmem_strdup(buf_cstr(&p.body));
    *e = p.error;
    buf_done(&p.body);
    return p.error.code;
}

void ketch_page_free(char *page)
{
    mem_free(page);
}
