/* versions.c -- what release the other members run: GET /version, when one becomes active and now
 * and then, and what one said counts no longer when it cannot be reached: it may come back as
 * another release.  The node decides what follows from it. */
#include "edge/peer/peer_int.h"

bool peer__version_in(const char *page, const char *field, cluster_version *ret)
{
    char name[32];
    const char *at, *end;

    snprintf(name, sizeof name, "\"%s\":\"", field);
    at = strstr(page, name);
    if (at == NULL)
        return false;
    at += strlen(name);
    end = strchr(at, '"');
    return end != NULL && cluster_version_parse(bytes_of(at, (size_t) (end - at)), ret);
}

static void on_data(struct http_out *x, struct bytes part)
{
    struct peer *p = http_out_user(x);
    size_t n = MIN(part.n, sizeof p->version_page - 1 - p->version_page_n);

    memcpy(p->version_page + p->version_page_n, part.p, n);
    p->version_page_n += n;
}

static void tell(struct peer *p, cluster_version v)
{
    p->version_known = v != 0;
    node_report_version(p->ps->node, p->id, v);
}

static void on_end(struct http_out *x, const char *why)
{
    struct peer *p = http_out_user(x);
    cluster_version v;

    p->version_out = NULL;
    p->version_page[p->version_page_n] = '\0';
    if (why != NULL || http_out_status(x) != 200 ||
        !peer__version_in(p->version_page, "etcdserver", &v))
        LOG_WARN(p->ps->o.log, "failed to get version", F_STR("remote-member-id", p->hex),
                 F_STR("error", why == NULL ? "the answer cannot be read" : why));
    else if (!p->version_void)
        tell(p, v);
    if (p->version_void && p->active_since != 0)
        peer__version_ask(p); /* it is back already */
}

void peer__version_ask(struct peer *p)
{
    struct http_client *c = peer__client(p);
    struct http_out_options o = {.method = "GET",
                                 .path = "/version",
                                 .timeout_ms = PEER_PROBE_MS,
                                 .data = on_data,
                                 .end = on_end,
                                 .user = p};

    if (c == NULL || p->version_out != NULL)
        return;
    p->version_page_n = 0;
    p->version_void = false;
    if (http_client_request(c, &o, &p->version_out, NULL) != 0)
        p->version_out = NULL;
}

void peer__version_forget(struct peer *p)
{
    p->version_void = true;
    if (p->version_known)
        tell(p, 0);
}

void peer__version_close(struct peer *p)
{
    if (p->version_out != NULL)
        http_out_abort(p->version_out);
    p->version_out = NULL;
}
