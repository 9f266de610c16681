/* upstream.c -- members, dialled and dialled again, taken in turn.
 *
 * A member is held by the list and by each call on it; it is freed, from a timer (a channel cannot
 * be freed in its own callback), when nobody holds it any more.
 */
#include "edge/proxy/upstream.h"

#include "base/alloc.h"
#include "client/endpoint.h"
#include "edge/proxy/proxy_limits.h"

struct upstream_member {
    struct list link; /* of upstream->members or upstream->leaving */
    struct upstream *up;
    char *text; /* as it was written */
    struct endpoint_address address;
    struct tls *tls; /* borrowed of the upstream; NULL: cleartext */
    struct channel *channel;
    struct loop_timer timer; /* to dial again; to free one that has left */
    int64_t redial_ms;
    size_t calls;
    bool left; /* no longer in the list */
};

struct upstream {
    struct upstream_options options; /* its endpoints are not kept */
    struct tls *system_tls; /* for https:// without a tls of the options; made when needed */
    struct list members;    /* in turn: who was taken goes to the end */
    size_t members_n;
    struct list leaving;
    struct list waiting; /* struct upstream_waiter */
    size_t waiting_n;
    bool closed;
    char why[ERR_MSG_BYTES];
};

static void start_timer(struct upstream_member *m, int64_t ms)
{
    int rc = loop_timer_start(m->up->options.loop, &m->timer, ms);

    ASSERT(rc == 0); /* only for want of a few bytes: nothing can be promised any more */
}

static void member_free(struct upstream_member *m)
{
    ASSERT(m->calls == 0); /* invariant 7 */
    list_remove(&m->link);
    loop_timer_stop(m->up->options.loop, &m->timer);
    channel_free(m->channel);
    endpoint_address_done(&m->address);
    mem_free(m->text);
    mem_free(m);
}

static void on_timer(struct loop_timer *t)
{
    struct upstream_member *m = CONTAINER_OF(t, struct upstream_member, timer);

    if (!m->left)
        channel_connect(m->channel);
    else if (m->calls == 0)
        member_free(m);
}

static struct upstream_member *take(struct upstream *u)
{
    LIST_EACH (it, &u->members) {
        struct upstream_member *m = CONTAINER_OF(it, struct upstream_member, link);

        if (channel_state(m->channel) != CHANNEL_READY)
            continue;
        list_remove(&m->link);
        list_push(&u->members, &m->link);
        m->calls++;
        return m;
    }
    return NULL;
}

static void wake(struct upstream *u)
{
    while (!list_empty(&u->waiting)) {
        struct upstream_member *m = take(u);
        struct list *it;

        if (m == NULL)
            return;
        it = list_pop(&u->waiting);
        ASSERT(u->waiting_n > 0);
        u->waiting_n--;
        CONTAINER_OF(it, struct upstream_waiter, link)
            ->go(CONTAINER_OF(it, struct upstream_waiter, link), m);
    }
}

static void on_state(struct channel *ch, enum channel_state s, const char *why, void *user)
{
    struct upstream_member *m = user;

    (void) ch;
    if (m->up->closed || m->left)
        return;
    if (s == CHANNEL_READY) {
        m->redial_ms = 0;
        wake(m->up);
    } else if (s == CHANNEL_IDLE) {
        if (why != NULL && why[0] != 0)
            snprintf(m->up->why, sizeof m->up->why, "%s", why);
        start_timer(m, m->redial_ms);
        m->redial_ms = MIN(MAX(m->redial_ms * 2, PROXY_REDIAL_MS_MIN), PROXY_REDIAL_MS_MAX);
    }
}

/* ---- the list ---- */

static int member_tls(struct upstream_member *m, struct err *e)
{
    struct upstream *u = m->up;
    struct tls_options o = {.server = false};
    int rc;

    if (m->address.plain || (!m->address.tls && u->options.tls == NULL))
        return 0;
    m->tls = u->options.tls;
    if (m->tls != NULL)
        return 0;
    rc = u->system_tls != NULL ? 0 : tls_new(&o, &u->system_tls, e);
    m->tls = u->system_tls;
    return rc;
}

static int member_new(struct upstream *u, const char *text, struct upstream_member **ret,
                      struct err *e)
{
    struct upstream_member *m = xmem_calloc(1, sizeof *m);
    struct channel_options o;
    int rc;

    m->up = u;
    m->text = xmem_strdup(text);
    list_init(&m->link);
    loop_timer_init(&m->timer, on_timer);
    rc = endpoint_parse(text, &m->address, e);
    if (rc == 0)
        rc = member_tls(m, e);
    o = (struct channel_options){.host = m->address.host,
                                 .port = m->address.port,
                                 .unix_path = m->address.unix_path,
                                 .tls = m->tls,
                                 .connect_timeout_ms = PROXY_DIAL_MS,
                                 .keepalive_time_ms = u->options.keepalive_time_ms,
                                 .keepalive_timeout_ms = u->options.keepalive_timeout_ms,
                                 .keepalive_without_calls = u->options.keepalive_without_calls,
                                 .recv_message_bytes_max = u->options.response_bytes_max,
                                 .on_state = on_state,
                                 .user = m};
    if (rc == 0)
        rc = channel_new(u->options.loop, &o, &m->channel, e);
    if (rc != 0) {
        member_free(m);
        return rc;
    }
    *ret = m;
    return 0;
}

static void leave(struct upstream_member *m)
{
    m->left = true;
    m->up->members_n--;
    list_remove(&m->link);
    list_push(&m->up->leaving, &m->link);
    start_timer(m, 0);
}

static bool has(const char *const *v, size_t n, const char *s)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(v[i], s) == 0)
            return true;
    }
    return false;
}

static bool is_member(const struct upstream *u, const char *text)
{
    LIST_EACH (it, &u->members) {
        if (strcmp(CONTAINER_OF(it, struct upstream_member, link)->text, text) == 0)
            return true;
    }
    return false;
}

static int add_new(struct upstream *u, const char *const *v, size_t n, struct list *ret,
                   struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct upstream_member *m;
        int rc;

        if (is_member(u, v[i]) || has(v, i, v[i]))
            continue;
        rc = member_new(u, v[i], &m, e);
        if (rc != 0)
            return rc;
        list_push(ret, &m->link);
    }
    return 0;
}

int upstream_set(struct upstream *u, const char *const *endpoints, size_t n, struct err *e)
{
    struct list added;
    struct list *it;
    int rc = 0;

    list_init(&added);
    if (n > PROXY_ENDPOINTS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d endpoints", PROXY_ENDPOINTS_MAX);
    rc = add_new(u, endpoints, n, &added, e);
    if (rc == 0) {
        LIST_EACH_SAFE (old, &u->members) {
            struct upstream_member *m = CONTAINER_OF(old, struct upstream_member, link);

            if (!has(endpoints, n, m->text))
                leave(m);
        }
    }
    while ((it = list_pop(&added)) != NULL) {
        struct upstream_member *m = CONTAINER_OF(it, struct upstream_member, link);

        if (rc != 0) {
            member_free(m);
            continue;
        }
        list_push(&u->members, &m->link);
        u->members_n++;
        channel_connect(m->channel);
    }
    return rc;
}

/* ---- life ---- */

int upstream_new(const struct upstream_options *o, struct upstream **ret, struct err *e)
{
    struct upstream *u = xmem_calloc(1, sizeof *u);
    int rc;

    u->options = *o;
    u->options.tls = tls_ref(o->tls);
    u->options.endpoints = NULL;
    list_init(&u->members);
    list_init(&u->leaving);
    list_init(&u->waiting);
    rc = upstream_set(u, o->endpoints, o->endpoints_n, e);
    if (rc != 0) {
        upstream_free(u);
        return rc;
    }
    *ret = u;
    return 0;
}

static void drop_channels(struct list *members)
{
    LIST_EACH (it, members) {
        struct upstream_member *m = CONTAINER_OF(it, struct upstream_member, link);

        channel_free(m->channel);
        m->channel = NULL;
    }
}

void upstream_close(struct upstream *u)
{
    if (u == NULL || u->closed)
        return;
    u->closed = true;
    drop_channels(&u->members);
    drop_channels(&u->leaving);
}

void upstream_free(struct upstream *u)
{
    if (u == NULL)
        return;
    upstream_close(u);
    ASSERT(list_empty(&u->waiting));
    LIST_EACH_SAFE (it, &u->members)
        member_free(CONTAINER_OF(it, struct upstream_member, link));
    LIST_EACH_SAFE (it, &u->leaving)
        member_free(CONTAINER_OF(it, struct upstream_member, link));
    tls_unref(u->options.tls);
    tls_unref(u->system_tls);
    mem_free(u);
}

/* ---- whose turn it is ---- */

int upstream_wait(struct upstream *u, struct upstream_waiter *w)
{
    struct upstream_member *m;

    ASSERT(list_empty(&w->link));
    if (u->closed)
        return ERR_CLOSED;
    m = take(u);
    if (m != NULL) {
        w->go(w, m);
        return 0;
    }
    if (u->waiting_n >= PROXY_WAITING_MAX)
        return ERR_LIMIT;
    list_push(&u->waiting, &w->link);
    u->waiting_n++;
    return 0;
}

void upstream_forget(struct upstream *u, struct upstream_waiter *w)
{
    if (list_empty(&w->link))
        return;
    list_remove(&w->link);
    ASSERT(u->waiting_n > 0);
    u->waiting_n--;
}

struct channel *upstream_channel(struct upstream_member *m)
{
    return m->channel;
}

void upstream_give(struct upstream_member *m)
{
    if (m == NULL)
        return;
    ASSERT(m->calls > 0);
    m->calls--;
    if (m->left && m->calls == 0 && !m->up->closed)
        start_timer(m, 0);
}

size_t upstream_count(const struct upstream *u)
{
    return u->members_n;
}

struct upstream_address upstream_address(const struct upstream *u, size_t i)
{
    struct list *it = u->members.next;

    ASSERT(i < u->members_n);
    while (i-- > 0)
        it = it->next;
    const struct upstream_member *m = CONTAINER_OF(it, struct upstream_member, link);
    return (struct upstream_address){m->address.host, m->address.port, m->address.unix_path,
                                     m->tls};
}

bool upstream_is_closed(const struct upstream *u)
{
    return u->closed;
}

const char *upstream_why(const struct upstream *u)
{
    return u->why;
}
