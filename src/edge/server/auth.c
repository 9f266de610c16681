/* The Auth service.
 *
 *   authenticate:  read index -> hash compared (auth_work.h) -> through the log -> the token, or
 *                  once more where users or roles have changed since the hash was read
 *   passwords:     hashed (auth_work.h) -> through the log, the hash alone
 *   all others:    through the log
 */
#include "edge/server/auth_work.h"
#include "edge/server/permit.h"
#include "edge/server/token.h"
#include "raft_internal.pb-c.h"
#include "sys/password.h"
#include "wire/pb.h"

#define BASE64_BYTES ((PASSWORD_HASH_BYTES + 2) / 3 * 4)

/* ---- through the log ---- */

static const struct {
    enum method_id id;
    uint32_t op;
    const ProtobufCMessageDescriptor *request;
} plain[] = {
    {METHOD_AUTH_ENABLE, 1000, &etcdserverpb__auth_enable_request__descriptor},
    {METHOD_AUTH_DISABLE, 1011, &etcdserverpb__auth_disable_request__descriptor},
    {METHOD_AUTH_STATUS, 1013, &etcdserverpb__auth_status_request__descriptor},
    {METHOD_USER_GET, 1102, &etcdserverpb__auth_user_get_request__descriptor},
    {METHOD_USER_LIST, 1106, &etcdserverpb__auth_user_list_request__descriptor},
    {METHOD_USER_DELETE, 1101, &etcdserverpb__auth_user_delete_request__descriptor},
    {METHOD_USER_GRANT_ROLE, 1104, &etcdserverpb__auth_user_grant_role_request__descriptor},
    {METHOD_USER_REVOKE_ROLE, 1105, &etcdserverpb__auth_user_revoke_role_request__descriptor},
    {METHOD_ROLE_ADD, 1200, &etcdserverpb__auth_role_add_request__descriptor},
    {METHOD_ROLE_GET, 1202, &etcdserverpb__auth_role_get_request__descriptor},
    {METHOD_ROLE_LIST, 1107, &etcdserverpb__auth_role_list_request__descriptor},
    {METHOD_ROLE_DELETE, 1201, &etcdserverpb__auth_role_delete_request__descriptor},
    {METHOD_ROLE_GRANT_PERMISSION, 1203,
     &etcdserverpb__auth_role_grant_permission_request__descriptor},
    {METHOD_ROLE_REVOKE_PERMISSION, 1204,
     &etcdserverpb__auth_role_revoke_permission_request__descriptor},
};

/* A name ends at its first zero byte here and would go on in etcd: members would differ. */
static bool has_cut_text(const ProtobufCMessageDescriptor *d, struct bytes message)
{
    struct pb_reader r = pb_reader_of(message);
    struct pb_field f;

    while (pb_next(&r, &f)) {
        const ProtobufCFieldDescriptor *x = protobuf_c_message_descriptor_get_field(d, f.number);

        if (x != NULL && x->type == PROTOBUF_C_TYPE_STRING && f.type == PB_LEN && f.bytes.n != 0 &&
            memchr(f.bytes.p, 0, f.bytes.n) != NULL)
            return true;
    }
    return false;
}

/* A user or role whose name cannot be a key of the data file would stop every member that applies
 * the request, now and whenever it reads its log again; it stops etcd. */
static bool adds_long_name(const ProtobufCMessageDescriptor *d, const void *request)
{
    const char *name = "";

    if (d == &etcdserverpb__auth_user_add_request__descriptor)
        name = ((const Etcdserverpb__AuthUserAddRequest *) request)->name;
    else if (d == &etcdserverpb__auth_role_add_request__descriptor)
        name = ((const Etcdserverpb__AuthRoleAddRequest *) request)->name;
    return strlen(name) > AUTH_NAME_BYTES_MAX;
}

/* Decodes; false: the call was ended. */
static bool take(struct call *c, const ProtobufCMessageDescriptor *d, struct bytes *message,
                 void *ret)
{
    count_received(c, (enum method_id) call_method(c)->tag);
    if (!request_decode(c, d, message, ret))
        return false;
    if (has_cut_text(d, *message))
        call_finish(c, GRPC_INVALID_ARGUMENT, "etcdserver: names and passwords have no zero bytes");
    else if (adds_long_name(d, *(void **) ret))
        call_finish(c, GRPC_INVALID_ARGUMENT, "etcdserver: names are no longer than 32768 bytes");
    else
        return true;
    return false;
}

static void plain_request(struct call *c, struct bytes message)
{
    ProtobufCMessage *m;
    size_t i = 0;

    while (plain[i].id != (enum method_id) call_method(c)->tag)
        i++;
    if (take(c, plain[i].request, &message, &m))
        req_propose(c, plain[i].op, message, req_message_done);
}

/* ---- jobs of a call ---- */

/* In the call's arena. */
struct password_call {
    struct auth_job job;
    struct call *call;
    struct io *io;
    char *password;
    char *name;
    uint8_t salt[PASSWORD_SALT_BYTES];
    unsigned cost;
    char hash[PASSWORD_HASH_BYTES + 1]; /* made, or that of the user */
    size_t hash_n;
    bool ok;
    uint64_t revision; /* of users and roles when the hash was read; of the token */
    struct buf token;
    int made;            /* token_make's result */
    struct req *applied; /* the login's, while its token is signed */
    ProtobufCMessage *request;
};

static void wipe(char *s)
{
    secret_wipe(s, strlen(s));
}

static void unwanted(struct call *c, enum call_cancel_reason why)
{
    struct password_call *p = call_user(c);

    (void) why;
    atomic_store(&p->job.unwanted, true);
}

static void run_job(struct password_call *p, void (*work)(struct auth_job *j),
                    void (*done)(struct auth_job *j), bool prompt)
{
    p->job.work = work;
    p->job.done = done;
    p->io->outstanding++;
    if (auth_work_submit(p->io->server->auth_work, p->io->loop, &p->job, prompt))
        return;
    p->io->outstanding--;
    wipe(p->password);
    reply_error(p->call, API_REQUEST_TOO_MANY_REQUESTS);
}

/* The job is back.  False: nobody waits any more, and the call was ended. */
static struct password_call *job_back(struct auth_job *j)
{
    struct password_call *p = CONTAINER_OF(j, struct password_call, job);

    p->io->outstanding--;
    if (!atomic_load(&j->unwanted))
        return p;
    wipe(p->password);
    call_finish(p->call, GRPC_CANCELED, "context canceled");
    return NULL;
}

static struct password_call *password_call_new(struct call *c, char *name, char *password)
{
    struct password_call *p = arena_calloc(call_arena(c), 1, sizeof *p);

    if (p == NULL) {
        reply_no_memory(c);
        return NULL;
    }
    p->call = c;
    p->io = call_io(c);
    p->name = name;
    p->password = password;
    call_set_user(c, p);
    call_on_cancel(c, unwanted);
    return p;
}

/* ---- authenticate ---- */

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
    if (job_back(j) == NULL)
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
        wipe(p->password);
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
    wipe(p->password);
    if (token_is_simple(p->io->server->tokens)) {
        req_message_done(r);
        return;
    }
    buf_init(&p->token, TOKEN_BYTES_MAX);
    p->applied = r;
    run_job(p, sign_work, signed_done, true);
}

static void new_letters(struct server *s, char ret[AUTH_TOKEN_LETTERS + 1])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (int i = 0; i < AUTH_TOKEN_LETTERS; i++)
        ret[i] = letters[random_below(s->o.random, sizeof letters - 1)];
    ret[AUTH_TOKEN_LETTERS] = 0;
}

static void propose_message(struct password_call *p, uint32_t op, const ProtobufCMessage *m,
                            void (*then)(struct req *r))
{
    size_t n = wire_size(m);
    uint8_t *body = arena_alloc(call_arena(p->call), n + 1);
    struct req *r = body == NULL ? NULL : req_new(p->call, NODE_REQ_PROPOSE, then);

    if (body == NULL)
        reply_no_memory(p->call);
    if (r == NULL)
        return;
    protobuf_c_message_pack(m, body);
    r->node.op = op;
    r->node.body = bytes_of(body, n);
    r->user = p;
    req_submit(r);
}

static void login_refused(struct password_call *p, enum api_error why)
{
    wipe(p->password);
    if (why != API_AUTH_NOT_ENABLED)
        LOG_WARN(p->io->server->log, "invalid authentication was requested", F_STR("user", p->name),
                 F_STR("error", api_error_text(why)));
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
    struct password_call *p = job_back(j);
    char letters[AUTH_TOKEN_LETTERS + 1];

    if (p == NULL)
        return;
    if (!p->ok) {
        login_refused(p, API_AUTH_FAILED);
        return;
    }
    m.name = p->name;
    if (token_is_simple(p->io->server->tokens)) {
        new_letters(p->io->server, letters);
        m.simple_token = letters;
    }
    propose_message(p, NODE_OP_AUTHENTICATE, &m.base, login_applied);
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
        wipe(p->password);
        reply_failed(p->call, &r->node.result);
        return;
    }
    err = login_begin(p);
    if (err != API_OK)
        login_refused(p, err);
    else
        run_job(p, compare_work, compared, false);
}

static void authenticate(struct call *c, struct bytes message)
{
    Etcdserverpb__AuthenticateRequest *q;
    struct password_call *p;

    if (!take(c, &etcdserverpb__authenticate_request__descriptor, &message, &q))
        return;
    p = password_call_new(c, q->name, q->password);
    if (p == NULL)
        return;
    /* The password is in the decoded message alone from here on. */
    secret_wipe((void *) (uintptr_t) message.p, message.n);
    read_when(c, false, p, login_check);
}

/* ---- users with passwords ---- */

static void hash_work(struct auth_job *j)
{
    struct password_call *p = CONTAINER_OF(j, struct password_call, job);

    p->ok = password_hash(p->password, p->cost, p->salt, p->hash);
}

static void base64(const char *in, size_t n, char *ret)
{
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    ASSERT(n % 3 == 0);
    for (size_t i = 0; i < n; i += 3) {
        uint32_t x = (uint32_t) (uint8_t) in[i] << 16 | (uint32_t) (uint8_t) in[i + 1] << 8 |
                     (uint8_t) in[i + 2];

        for (int d = 0; d < 4; d++)
            *ret++ = all[x >> (18 - 6 * d) & 63];
    }
    *ret = 0;
}

static void hashed(struct auth_job *j)
{
    struct password_call *p = job_back(j);
    char text[BASE64_BYTES + 1];

    if (p == NULL)
        return;
    wipe(p->password);
    if (!p->ok) {
        reply_no_memory(p->call);
        return;
    }
    base64(p->hash, PASSWORD_HASH_BYTES, text);
    if (call_method(p->call)->tag == METHOD_USER_ADD) {
        Etcdserverpb__AuthUserAddRequest *q = (Etcdserverpb__AuthUserAddRequest *) p->request;

        q->password = text + BASE64_BYTES; /* empty */
        q->hashedpassword = text;
        propose_message(p, NODE_OP_USER_ADD, p->request, req_message_done);
    } else {
        Etcdserverpb__AuthUserChangePasswordRequest *q =
            (Etcdserverpb__AuthUserChangePasswordRequest *) p->request;

        q->password = text + BASE64_BYTES;
        q->hashedpassword = text;
        propose_message(p, NODE_OP_USER_CHANGE_PASSWORD, p->request, req_message_done);
    }
}

static unsigned bcrypt_cost(const struct config *c)
{
    bool ok = c->bcrypt_cost >= PASSWORD_COST_MIN && c->bcrypt_cost <= PASSWORD_COST_MAX;

    return ok ? (unsigned) c->bcrypt_cost : PASSWORD_COST_DEFAULT;
}

/* Who may not change users is refused before anything is hashed for him. */
static void hash_and_propose(struct call *c, ProtobufCMessage *request, char *name, char *password,
                             struct bytes message)
{
    struct password_call *p = password_call_new(c, name, password);

    if (p == NULL)
        return;
    secret_wipe((void *) (uintptr_t) message.p, message.n);
    if (strlen(password) > PASSWORD_BYTES_MAX) {
        reply_error(c, API_PASSWORD_TOO_LONG);
        return;
    }
    if (!permitted(c, permit_admin(c)))
        return;
    p->request = request;
    p->cost = bcrypt_cost(call_server(c)->config);
    for (size_t i = 0; i < PASSWORD_SALT_BYTES; i += 8) {
        uint64_t x = random_u64(call_server(c)->o.random);

        memcpy(&p->salt[i], &x, 8);
    }
    run_job(p, hash_work, hashed, true);
}

static void user_add(struct call *c, struct bytes message)
{
    Etcdserverpb__AuthUserAddRequest *q;
    struct password_call *p;

    if (!take(c, &etcdserverpb__auth_user_add_request__descriptor, &message, &q))
        return;
    if (q->options == NULL || !q->options->no_password) {
        hash_and_propose(c, &q->base, q->name, q->password, message);
        return;
    }
    /* A password that nobody will use does not get into the log either. */
    p = password_call_new(c, q->name, q->password);
    if (p == NULL)
        return;
    wipe(q->password);
    secret_wipe((void *) (uintptr_t) message.p, message.n);
    q->password = (char *) (uintptr_t) protobuf_c_empty_string;
    propose_message(p, NODE_OP_USER_ADD, &q->base, req_message_done);
}

static void user_change_password(struct call *c, struct bytes message)
{
    Etcdserverpb__AuthUserChangePasswordRequest *q;

    if (!take(c, &etcdserverpb__auth_user_change_password_request__descriptor, &message, &q))
        return;
    if (q->password[0] != 0)
        hash_and_propose(c, &q->base, q->name, q->password, message);
    else
        req_propose(c, NODE_OP_USER_CHANGE_PASSWORD, message, req_message_done);
}

const struct net_method auth_methods[] = {
    METHOD_UNARY(AUTH_ENABLE, plain_request),
    METHOD_UNARY(AUTH_DISABLE, plain_request),
    METHOD_UNARY(AUTH_STATUS, plain_request),
    METHOD_UNARY(AUTHENTICATE, authenticate),
    METHOD_UNARY(USER_ADD, user_add),
    METHOD_UNARY(USER_GET, plain_request),
    METHOD_UNARY(USER_LIST, plain_request),
    METHOD_UNARY(USER_DELETE, plain_request),
    METHOD_UNARY(USER_CHANGE_PASSWORD, user_change_password),
    METHOD_UNARY(USER_GRANT_ROLE, plain_request),
    METHOD_UNARY(USER_REVOKE_ROLE, plain_request),
    METHOD_UNARY(ROLE_ADD, plain_request),
    METHOD_UNARY(ROLE_GET, plain_request),
    METHOD_UNARY(ROLE_LIST, plain_request),
    METHOD_UNARY(ROLE_DELETE, plain_request),
    METHOD_UNARY(ROLE_GRANT_PERMISSION, plain_request),
    METHOD_UNARY(ROLE_REVOKE_PERMISSION, plain_request),
};
const size_t auth_methods_n = ARRAY_LEN(auth_methods);
