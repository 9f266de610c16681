#include "edge/server/permit.h"

#include "edge/server/token.h"
#include "sys/digest.h"

#define BEARER "Bearer "
#define FINGERPRINT_DIGITS 12 /* etcd's */

_Static_assert(SERVER_IO_THREADS_MAX <= TOKEN_THREADS_MAX, "each I/O thread knows tokens");

/* ---- identity ---- */

/* The token as sent, without "Bearer ", which the browser side puts before it. */
static bool token_of(const struct call *c, struct bytes *ret)
{
    if (!call_metadata(c, "token", ret) && !call_metadata(c, "authorization", ret))
        return false;
    if (ret->n >= sizeof BEARER - 1 && memcmp(ret->p, BEARER, sizeof BEARER - 1) == 0)
        *ret = bytes_of(ret->p + sizeof BEARER - 1, ret->n - (sizeof BEARER - 1));
    return true;
}

static bool keep_name(struct arena *mem, struct bytes name, struct auth_who *w)
{
    uint8_t *p = arena_alloc(mem, name.n + 1);

    if (p == NULL)
        return false;
    if (name.n != 0)
        memcpy(p, name.p, name.n);
    p[name.n] = 0;
    w->known = true;
    w->user = bytes_of(p, name.n);
    return true;
}

static bool by_simple_token(struct io *io, struct bytes token, struct arena *mem,
                            struct auth_who *ret)
{
    const struct auth_view *v;
    struct bytes user;
    uint64_t index;
    bool ok;

    if (!token_index(token, &index))
        return false;
    v = auth_pin(io->auth);
    ret->revision = auth_view_revision(v);
    ok = auth_token_use(io->auth, token, loop_now_ns(io->loop), &user) && keep_name(mem, user, ret);
    auth_unpin(io->auth);
    return ok;
}

static bool by_signed_token(struct io *io, struct bytes token, struct arena *mem,
                            struct auth_who *ret)
{
    struct bytes user;
    wall_ms now = clock_wall_ms(io->server->o.clock);

    return token_check_again(io->server->tokens, io->id, token, now, mem, &user, &ret->revision) &&
           keep_name(mem, user, ret);
}

/* Enough of the token's SHA-256 to find the same one again, and nothing of the token. */
static void log_invalid(struct call *c, struct bytes token)
{
    uint8_t digest[SHA256_BYTES];
    char text[FINGERPRINT_DIGITS + 1];

    sha256(token.p, token.n, digest);
    for (size_t i = 0; i < FINGERPRINT_DIGITS / 2; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    LOG_WARN(call_io(c)->server->log, "invalid auth token", F_STR("token-fingerprint", text),
             F_STR("remote-addr", call_peer(c)));
}

static enum api_error by_token(struct call *c, struct bytes token, struct arena *mem,
                               struct auth_who *ret)
{
    struct io *io = call_io(c);
    bool ok = token_is_simple(io->server->tokens) ? by_simple_token(io, token, mem, ret)
                                                  : by_signed_token(io, token, mem, ret);

    if (ok)
        return API_OK;
    *ret = (struct auth_who){0};
    log_invalid(c, token);
    return API_INVALID_AUTH_TOKEN;
}

/* What comes through the gateway shows the server's own certificate, or nobody's (CVE-2018-16886).
 */
static enum api_error by_certificate(struct call *c, struct arena *mem, struct auth_who *ret)
{
    struct io *io = call_io(c);
    const char *name = io->server->config->client_cert_auth ? call_common_name(c) : NULL;
    struct bytes unused;

    if (name == NULL)
        return API_OK;
    if (call_metadata(c, "grpcgateway-accept", &unused)) {
        LOG_WARN(io->server->log, "ignoring common name in gRPC-gateway proxy request",
                 F_STR("common-name", name));
        return API_OK;
    }
    ret->revision = auth_view_revision(auth_pin(io->auth));
    auth_unpin(io->auth);
    if (!keep_name(mem, bytes_str(name), ret))
        *ret = (struct auth_who){0};
    return API_OK;
}

enum api_error permit_who(struct call *c, struct arena *mem, struct auth_who *ret)
{
    struct server *s = call_server(c);
    struct bytes token;

    *ret = (struct auth_who){0};
    if (LIKELY(!auth_on(node_auth(s->node))))
        return API_OK;
    return token_of(c, &token) ? by_token(c, token, mem, ret) : by_certificate(c, mem, ret);
}

/* ---- checks ---- */

static enum api_error ask(struct call *c, struct auth_who *ret,
                          enum api_error (*check)(const struct auth_view *v,
                                                  const struct auth_who *w))
{
    struct io *io = call_io(c);
    enum api_error err = permit_who(c, call_arena(c), ret);

    if (err == API_OK && auth_on(node_auth(io->server->node))) {
        err = check(auth_pin(io->auth), ret);
        auth_unpin(io->auth);
    }
    return err;
}

enum api_error permit_known(struct call *c)
{
    struct auth_who w;

    return ask(c, &w, auth_check_known);
}

enum api_error permit_admin(struct call *c)
{
    struct auth_who w;

    return ask(c, &w, auth_check_admin);
}

static enum api_error check_range(struct call *c, struct arena *mem, enum auth_access access,
                                  struct bytes key, struct bytes range_end, struct auth_who *ret)
{
    struct io *io = call_io(c);
    enum api_error err = permit_who(c, mem, ret);

    if (err == API_OK && auth_on(node_auth(io->server->node))) {
        err = auth_check_range(auth_pin(io->auth), ret, access, key, range_end);
        auth_unpin(io->auth);
    }
    return err;
}

enum api_error permit_range(struct call *c, struct arena *mem, enum auth_access access,
                            struct bytes key, struct bytes range_end)
{
    struct auth_who w;

    return check_range(c, mem, access, key, range_end, &w);
}

enum api_error permit_read(struct call *c, struct bytes key, struct bytes range_end,
                           struct auth_who *ret)
{
    return check_range(c, call_arena(c), AUTH_READ, key, range_end, ret);
}

enum api_error permit_read_txn(struct call *c, const Etcdserverpb__TxnRequest *q,
                               struct auth_who *ret)
{
    struct io *io = call_io(c);
    enum api_error err = permit_who(c, call_arena(c), ret);

    if (err == API_OK && auth_on(node_auth(io->server->node))) {
        err = auth_check_txn(auth_pin(io->auth), ret, NULL, q);
        auth_unpin(io->auth);
    }
    return err;
}

enum api_error permit_after(struct io *io, const struct auth_who *w)
{
    uint64_t revision;

    if (LIKELY(w->revision == 0))
        return API_OK;
    revision = auth_view_revision(auth_pin(io->auth));
    auth_unpin(io->auth);
    return w->revision == revision ? API_OK : API_AUTH_OLD_REVISION;
}

bool permitted(struct call *c, enum api_error err)
{
    if (err != API_OK)
        reply_error(c, err);
    return err == API_OK;
}

/* ---- requests to the node ---- */

static bool carries_a_name(const struct node_request *r)
{
    switch (r->kind) {
    case NODE_REQ_PROPOSE:
        return r->op != NODE_OP_AUTHENTICATE;
    case NODE_REQ_LEASE_KEEPALIVE:
    case NODE_REQ_LEASE_TTL:
    case NODE_REQ_LEASE_LIST:
        return true;
    default:
        return false;
    }
}

bool permit_request(struct req *r)
{
    struct auth_who w;
    enum api_error err;

    if (r->call == NULL || LIKELY(!auth_on(node_auth(r->io->server->node))) ||
        !carries_a_name(&r->node))
        return true;
    err = permit_who(r->call, r->node.arena, &w);
    if (err != API_OK) {
        r->node.result = (struct node_result){.err = err};
        return false;
    }
    r->node.username = w.known ? (const char *) w.user.p : NULL;
    r->node.auth_revision = w.revision;
    return true;
}

/* ---- the gate ---- */

static const struct net_method *inner_of(const struct call *c)
{
    return &call_server(c)->inner[call_method(c)->tag];
}

static bool must_wait(struct call *c, uint64_t *ret_index)
{
    struct server *s = call_server(c);
    struct node_status st;
    struct bytes token;

    if (LIKELY(!auth_on(node_auth(s->node))) || !token_is_simple(s->tokens) ||
        !token_of(c, &token) || !token_index(token, ret_index))
        return false;
    node_status(s->node, &st);
    ++*ret_index; /* the entry that made it is the next one: see apply/auth.c */
    return *ret_index > st.applied && *ret_index != 0;
}

static bool gate_failed(const struct req *r)
{
    if (r->node.result.err == API_OK)
        return false;
    reply_error(r->call, API_INVALID_AUTH_TOKEN);
    return true;
}

static void request_passed(struct req *r)
{
    if (!gate_failed(r))
        inner_of(r->call)->request(r->call, call_request(r->call));
}

static void gate_request(struct call *c, struct bytes message)
{
    uint64_t index;
    struct req *r;

    if (LIKELY(!must_wait(c, &index))) {
        inner_of(c)->request(c, message);
        return;
    }
    r = req_new(c, NODE_REQ_WAIT_APPLIED, request_passed);
    if (r == NULL)
        return;
    r->node.target = index;
    req_submit(r);
}

static void stream_passed(struct req *r)
{
    struct call *c = r->call;
    const struct net_method *m = inner_of(c);

    if (gate_failed(r))
        return;
    if (call_canceled(c) != CALL_NOT_CANCELED) {
        call_finish(c, GRPC_CANCELED, "context canceled");
        return;
    }
    if (m->open != NULL)
        m->open(c);
    call_resume(c);
}

/* A stream is opened once the token's entry is applied.  The call cannot end meanwhile, for its
 * method has not heard of it; and as it is paused the method hears of nothing else either, the end
 * of the client's side included. */
static void gate_open(struct call *c)
{
    struct io *io = call_io(c);
    uint64_t index;
    struct req *r;

    if (LIKELY(!must_wait(c, &index))) {
        if (inner_of(c)->open != NULL)
            inner_of(c)->open(c);
        return;
    }
    r = arena_calloc(call_arena(c), 1, sizeof *r);
    if (r == NULL) {
        reply_no_memory(c);
        return;
    }
    *r = (struct req){.node = {.kind = NODE_REQ_WAIT_APPLIED,
                               .sink = &io->sink,
                               .arena = call_arena(c),
                               .target = index},
                      .io = io,
                      .call = c,
                      .then = stream_passed};
    call_pause(c);
    req_submit(r);
}

void permit_gate_install(struct server *s, struct net_method *m)
{
    s->inner[m->tag] = *m;
    if (m->request != NULL)
        m->request = gate_request;
    if (m->kind == NET_BIDI)
        m->open = gate_open;
}
