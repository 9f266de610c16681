/* discovery.c -- a cluster meets in another etcd (v3 discovery; etcd's v3discovery/discovery.go).
 *
 *      /_etcd/registry/TOKEN/_config/size     how many members there will be: somebody has put it
 *      /_etcd/registry/TOKEN/members/ID       "name=url,name=url" of a member, put by itself
 *
 * The first `size` members, in the order in which they came, are the cluster. */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <time.h>

#include "base/buf.h"
#include "etcd/discovery.h"
#include "ketch/client.h"
#include "state/cluster/cluster.h"

#define PREFIX "/_etcd/registry/"
#define TEXT_BYTES_MAX ((size_t) 1 << 20)
#define KEY_BYTES_MAX 1024
#define MEMBERS_MAX 4096
#define LOOK_MS 200 /* while others are still to come */
#define BACKOFF_DOUBLINGS 8

struct registered {
    char *key;
    char *urls;
    int64_t create_revision;
};

struct meeting {
    struct config *c;
    struct log *log;
    struct ketch_client *client;
    char own_key[KEY_BYTES_MAX];
    char *own_urls; /* "name=url,name=url" */
    size_t size;
    struct registered *members; /* in order of coming */
    size_t n;
    unsigned failures; /* in a row */
};

/* ---- calls, tried again for ever ---- */

static void rest(int64_t ms)
{
    struct timespec t = {(time_t) (ms / 1000), (long) (ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

static void back_off(struct meeting *m, const char *step, const char *why)
{
    int64_t ms;

    m->failures = MIN(m->failures + 1, BACKOFF_DOUBLINGS);
    ms = INT64_C(1000) << m->failures;
    LOG_WARN(m->log, "retry connecting to discovery service", F_STR("reason", step),
             F_NS("backoff", ms * 1000000), F_STR("error", why));
    rest(ms);
}

static int64_t call_ms(const struct meeting *m)
{
    return m->c->discovery_request_timeout / 1000000;
}

static ProtobufCBinaryData binary(const char *s, size_t n)
{
    return (ProtobufCBinaryData){n, (uint8_t *) (uintptr_t) s};
}

/* A key, or all that begin so; the caller frees *ret. */
static const Etcdserverpb__RangeResponse *get(struct meeting *m, const char *key, bool prefix,
                                              const char *step, struct ketch_reply **ret)
{
    Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const Etcdserverpb__RangeResponse *r;
    char end[KEY_BYTES_MAX];
    struct ketch_error e;

    q.key = binary(key, strlen(key));
    if (prefix) {
        snprintf(end, sizeof end, "%s", key);
        end[strlen(end) - 1]++; /* no key of ours ends with the last byte there is */
        q.range_end = binary(end, strlen(end));
    }
    while (ketch_range(m->client, &q, call_ms(m), ret, &r, &e) != KETCH_OK)
        back_off(m, step, e.text);
    m->failures = 0;
    return r;
}

static void put(struct meeting *m)
{
    Etcdserverpb__PutRequest q = ETCDSERVERPB__PUT_REQUEST__INIT;
    const Etcdserverpb__PutResponse *r;
    struct ketch_reply *reply;
    struct ketch_error e;

    q.key = binary(m->own_key, strlen(m->own_key));
    q.value = binary(m->own_urls, strlen(m->own_urls));
    while (ketch_put(m->client, &q, call_ms(m), &reply, &r, &e) != KETCH_OK)
        back_off(m, "register member itself", e.text);
    m->failures = 0;
    ketch_reply_free(reply);
    LOG_INFO(m->log, "register member itself successfully", F_STR("memberKey", m->own_key),
             F_STR("memberInfo", m->own_urls));
}

/* ---- what is there ---- */

static int read_size(struct meeting *m, struct err *e)
{
    const Etcdserverpb__RangeResponse *r;
    struct ketch_reply *reply;
    char key[KEY_BYTES_MAX], text[16] = "";
    char *end;

    snprintf(key, sizeof key, PREFIX "%s/_config/size", m->c->discovery_token);
    r = get(m, key, false, "cluster status check", &reply);
    if (r->n_kvs == 0) {
        ketch_reply_free(reply);
        return err_set(e, ERR_NOT_FOUND, "discovery: size key not found");
    }
    if (r->kvs[0]->value.len < sizeof text)
        memcpy(text, r->kvs[0]->value.data, r->kvs[0]->value.len);
    ketch_reply_free(reply);
    m->size = isdigit((unsigned char) text[0]) ? strtoul(text, &end, 10) : 0;
    if (m->size == 0 || m->size > MEMBERS_MAX || *end != '\0')
        return err_set(e, ERR_INVALID, "discovery: size key is bad");
    return 0;
}

static char *text_of(struct meeting *m, ProtobufCBinaryData b)
{
    char *s = arena_alloc(&m->c->arena, b.len + 1);

    if (s != NULL) {
        memcpy(s, b.data, b.len);
        s[b.len] = '\0';
    }
    return s;
}

static bool is_known(const struct meeting *m, const Mvccpb__KeyValue *kv)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->members[i].create_revision == kv->create_revision &&
            bytes_eq(bytes_str(m->members[i].key), bytes_of(kv->key.data, kv->key.len)))
            return true;
    }
    return false;
}

static void add(struct meeting *m, const Mvccpb__KeyValue *kv)
{
    struct registered r = {text_of(m, kv->key), text_of(m, kv->value), kv->create_revision};
    size_t k = m->n;

    if (r.key == NULL || r.urls == NULL || m->n == MEMBERS_MAX)
        return;
    if (strchr(r.urls, '=') == NULL) {
        LOG_WARN(m->log, "invalid peer info returned from discovery service",
                 F_STR("memberKey", r.key), F_STR("memberInfo", r.urls));
        return;
    }
    LOG_INFO(m->log, "found peer from discovery service", F_STR("memberKey", r.key),
             F_STR("memberInfo", r.urls));
    for (; k > 0 && m->members[k - 1].create_revision > r.create_revision; k--)
        m->members[k] = m->members[k - 1];
    m->members[k] = r;
    m->n++;
}

static void read_members(struct meeting *m)
{
    const Etcdserverpb__RangeResponse *r;
    struct ketch_reply *reply;
    char prefix[KEY_BYTES_MAX];

    snprintf(prefix, sizeof prefix, PREFIX "%s/members", m->c->discovery_token);
    r = get(m, prefix, true, "cluster status check", &reply);
    for (size_t i = 0; i < r->n_kvs; i++) {
        if (!is_known(m, r->kvs[i]))
            add(m, r->kvs[i]);
    }
    ketch_reply_free(reply);
}

/* True: the cluster is complete without this member. */
static bool is_full(const struct meeting *m)
{
    for (size_t i = 0; i < m->n && i < m->size; i++) {
        if (strcmp(m->members[i].key, m->own_key) == 0)
            return false;
    }
    return m->n >= m->size;
}

/* ---- together ---- */

static int check(struct meeting *m, struct err *e)
{
    int rc = read_size(m, e);

    if (rc == 0)
        read_members(m);
    if (rc == 0 && is_full(m))
        rc = err_set(e, ERR_LIMIT, "discovery: cluster is full");
    return rc;
}

static int wait_for_all(struct meeting *m, struct err *e)
{
    struct config *c = m->c;
    struct buf b;

    LOG_INFO(m->log, "waiting for peers from discovery service", F_U64("clusterSize", m->size),
             F_U64("found-peers", m->n));
    while (m->n < m->size) {
        rest(LOOK_MS);
        read_members(m);
    }
    LOG_INFO(m->log, "found all needed peers from discovery service", F_U64("clusterSize", m->size),
             F_U64("found-peers", m->n));
    buf_init(&b, TEXT_BYTES_MAX);
    for (size_t i = 0; i < m->size; i++)
        buf_printf(&b, "%s%s", i == 0 ? "" : ",", m->members[i].urls);
    c->initial_cluster = b.failed ? NULL
                                  : arena_dup(&c->arena, buf_cstr(&b), strlen(buf_cstr(&b)) + 1);
    buf_done(&b);
    if (c->initial_cluster == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    LOG_INFO(m->log, "discovery joined cluster successfully", F_STR("cluster", c->initial_cluster));
    return 0;
}

static int meet(struct meeting *m, struct err *e)
{
    int rc = check(m, e);

    if (rc != 0)
        return rc;
    put(m);
    rc = check(m, e);
    return rc == 0 ? wait_for_all(m, e) : rc;
}

/* ---- who this is ---- */

static bool describe_self(struct meeting *m)
{
    struct config *c = m->c;
    struct cluster_strings urls = {(const char *const *) c->initial_advertise_peer_urls.v,
                                   c->initial_advertise_peer_urls.n};
    uint64_t id = cluster_member_id(&urls, c->discovery_token, -1);
    struct buf b;

    snprintf(m->own_key, sizeof m->own_key, PREFIX "%s/members/%" PRIx64, c->discovery_token, id);
    buf_init(&b, TEXT_BYTES_MAX);
    for (size_t i = 0; i < urls.n; i++)
        buf_printf(&b, "%s%s=%s", i == 0 ? "" : ",", c->name, urls.v[i]);
    m->own_urls = arena_dup(&c->arena, buf_cstr(&b), strlen(buf_cstr(&b)) + 1);
    m->members = arena_calloc(&c->arena, MEMBERS_MAX, sizeof *m->members);
    buf_done(&b);
    return m->own_urls != NULL && m->members != NULL;
}

static int open_client(struct meeting *m, struct err *e)
{
    const struct config *c = m->c;
    struct ketch_options o = {
        .endpoints = (const char *const *) c->discovery_endpoints.v,
        .endpoint_count = c->discovery_endpoints.n,
        .dial_timeout_ms = c->discovery_dial_timeout / 1000000,
        .keepalive_time_ms = c->discovery_keepalive_time / 1000000,
        .keepalive_timeout_ms = c->discovery_keepalive_timeout / 1000000,
        .tls = {.enabled = !c->discovery_insecure_transport || *c->discovery_cert != 0 ||
                           *c->discovery_cacert != 0 || c->discovery_insecure_skip_tls_verify,
                .ca_file = c->discovery_cacert,
                .cert_file = c->discovery_cert,
                .key_file = c->discovery_key,
                .skip_verify = c->discovery_insecure_skip_tls_verify}};
    struct ketch_error ke;

    if (ketch_open(&o, &m->client, &ke) != KETCH_OK ||
        ketch_login(m->client, c->discovery_user, c->discovery_password, call_ms(m), &ke) !=
            KETCH_OK)
        return err_set(e, ERR_INVALID, "discovery: %s", ke.text);
    return 0;
}

static int discover_by_meeting(struct config *c, struct log *log, struct err *e)
{
    struct meeting m = {.c = c, .log = log};
    int rc;

    if (strcmp(c->initial_cluster_state, "existing") == 0)
        return err_set(e, ERR_INVALID,
                       "discovery URL should not be set when joining existing initial cluster");
    LOG_INFO(log, "Bootstrapping cluster using v3 discovery.");
    if (!describe_self(&m))
        return err_set(e, ERR_NOMEM, "out of memory");
    rc = open_client(&m, e);
    if (rc == 0)
        rc = meet(&m, e);
    ketch_close(m.client);
    c->initial_cluster_token = c->discovery_token;
    if (rc == 0)
        return 0;
    LOG_ERROR(log, "discovery failed to join cluster", F_ERR(e));
    LOG_WARN(log, "failed to bootstrap; discovery token was already used",
             F_STR("discovery-token", c->discovery_token), F_ERR(e));
    LOG_WARN(log, "do not reuse discovery token; generate a new one to bootstrap a cluster");
    return rc;
}

int discover_cluster(struct config *c, bool initialized, struct log *log, struct err *e)
{
    if (initialized) {
        if (c->discovery_endpoints.n > 0)
            LOG_WARN(log, "discovery token is ignored since cluster already initialized; valid "
                          "logs are found");
        return 0;
    }
    if (c->discovery_endpoints.n > 0)
        return discover_by_meeting(c, log, e);
    return *c->discovery_srv != 0 ? discover_by_dns(c, log, e) : 0;
}
