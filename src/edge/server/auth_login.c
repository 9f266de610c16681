/* auth_login.c -- Authenticate.
 *
 *     read index --> the hash compared --> through the log --> the token
 *                          ^                     |
 *                          +---------------------+ users or roles have changed since the hash was
 * read
 */
#include "edge/server/auth_password.h"
#include "raft_internal.pb-c.h"

/* In the log; clients read "etcdserver:" there. */
#define AUTH_FAILED_TEXT "auth: authentication failed, invalid user ID or password"

static void login_check(struct req *r);

static void login_reply(struct password_call *p, const char *token)
{
    Etcdserverpb__AuthenticateResponse m = ETCDSERVERPB__AUTHENTICATE_RESPONSE__INIT;
    struct mvcc_header h = header_current(p->io, &p->applied->node.result);

    m.token = (char *) (uintptr_t) token;
    reply_message(p->call, &h, &m.base);
}

static void sign_work(struct auth_job *j)
{
    struct password_call *p = CONTAINER_OF(j, struct password_call, job);
    struct server *s = p->io->server;

    p->made = token_make(s->tokens, p->name, p->revision, clock_wall_ms(s->o.clock), &p->token);
}

static void signed_done(struct auth_job *j)
{
    struct password_call *p = CONTAINER_OF(j, struct password_call, job);
    const char *token = arena_printf(call_arena(p->call), "%s", buf_cstr(&p->token));

    buf_done(&p->token);
    if (password_job_back(j) == NULL)
        return;
    if (p->made == 0 && token != NULL)
        login_reply(p, token);
    else if (p->made > 0)
        reply_error(p->call, (enum api_error) p->made);
    else
        call_finish(p->call, GRPC_UNKNOWN, "key is invalid");
}

static void login_applied(struct req *r)
{
    struct password_call *p = r->user;
    uint64_t revision;

    if (r->node.result.err != API_OK || r->node.result.code != GRPC_OK) {
        password_wipe(p->password);
        reply_failed(p->call, &r->node.result);
        return;
    }
    revision = auth_view_revision(auth_pin(p->io->auth));
    auth_unpin(p->io->auth);
    if (revision != p->revision) {
        LOG_INFO(p->io->server->log, "revision when password checked became stale; retrying");
        r->node.result = (struct node_result){0};
        login_check(r);
        return;
    }
    password_wipe(p->password);
    if (token_is_simple(p->io->server->tokens)) {
        req_message_done(r);
        return;
    }
    buf_init(&p->token, TOKEN_BYTES_MAX);
    p->applied = r;
    password_job_run(p, sign_work, signed_done, true);
}

static void new_letters(struct server *s, char ret[AUTH_TOKEN_LETTERS + 1])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (int i = 0; i < AUTH_TOKEN_LETTERS; i++)
        ret[i] = letters[random_below(s->o.random, sizeof letters - 1)];
    ret[AUTH_TOKEN_LETTERS] = 0;
}

static void login_refused(struct password_call *p, enum api_error why)
{
    const char *text = why == API_AUTH_FAILED ? AUTH_FAILED_TEXT : api_error_text(why);

    password_wipe(p->password);
    if (why != API_AUTH_NOT_ENABLED)
        LOG_WARN(p->io->server->log, "invalid authentication was requested", F_STR("user", p->name),
                 F_STR("error", text));
    reply_error(p->call, why);
}

static void compare_work(struct auth_job *j)
{
    struct password_call *p = CONTAINER_OF(j, struct password_call, job);

    p->ok = password_fits(p->password, bytes_of(p->hash, p->hash_n));
}

static void compared(struct auth_job *j)
{
    Etcdserverpb__InternalAuthenticateRequest m = ETCDSERVERPB__INTERNAL_AUTHENTICATE_REQUEST__INIT;
    struct password_call *p = password_job_back(j);
    char letters[AUTH_TOKEN_LETTERS + 1];

    if (p == NULL)
        return;
    if (!p->ok) {
        LOG_INFO(p->io->server->log, "invalid password", F_STR("user-name", p->name));
        login_refused(p, API_AUTH_FAILED);
        return;
    }
    m.name = p->name;
    if (token_is_simple(p->io->server->tokens)) {
        new_letters(p->io->server, letters);
        m.simple_token = letters;
    }
    password_call_propose(p, NODE_OP_AUTHENTICATE, &m.base, login_applied);
}

/* What the password is compared with, as it is now. */
static enum api_error login_begin(struct password_call *p)
{
    const struct auth_view *v = auth_pin(p->io->auth);
    struct auth_login login;
    enum api_error err = API_OK;

    p->revision = auth_view_revision(v);
    if (!auth_view_on(v))
        err = API_AUTH_NOT_ENABLED;
    else if (!auth_view_login(v, bytes_str(p->name), &login))
        err = API_AUTH_FAILED;
    else if (login.no_password)
        err = API_NO_PASSWORD_USER;
    if (err == API_OK) {
        p->hash_n = login.hash.n <= sizeof p->hash ? login.hash.n : 0;
        memcpy(p->hash, login.hash.p, p->hash_n);
    }
    auth_unpin(p->io->auth);
    return err;
}

static void login_check(struct req *r)
{
    struct password_call *p = r->user;
    enum api_error err;

    if (r->node.result.err != API_OK || r->node.result.code != GRPC_OK) {
        password_wipe(p->password);
        reply_failed(p->call, &r->node.result);
        return;
    }
    err = login_begin(p);
    if (err != API_OK)
        login_refused(p, err);
    else
        password_job_run(p, compare_work, compared, false);
}

void auth_call_authenticate(struct call *c, struct bytes message)
{
    Etcdserverpb__AuthenticateRequest *q;
    struct password_call *p;

    if (!auth_call_take(c, &etcdserverpb__authenticate_request__descriptor, &message, &q))
        return;
    p = password_call_new(c, q->name, q->password);
    if (p == NULL)
        return;
    /* The password is in the decoded message alone from here on. */
    secret_wipe((void *) (uintptr_t) message.p, message.n);
    read_when(c, false, p, login_check);
}
