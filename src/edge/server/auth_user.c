/* auth_user.c -- users with passwords: hashed on a thread of auth_work.h, and the hash alone goes
 * through the log. */
#include "edge/server/auth_password.h"

#define BASE64_BYTES ((PASSWORD_HASH_BYTES + 2) / 3 * 4)

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
    struct password_call *p = password_job_back(j);
    char text[BASE64_BYTES + 1];

    if (p == NULL)
        return;
    password_wipe(p->password);
    if (!p->ok) {
        reply_no_memory(p->call);
        return;
    }
    base64(p->hash, PASSWORD_HASH_BYTES, text);
    if (call_method(p->call)->tag == METHOD_USER_ADD) {
        Etcdserverpb__AuthUserAddRequest *q = (Etcdserverpb__AuthUserAddRequest *) p->request;

        q->password = text + BASE64_BYTES; /* empty */
        q->hashedpassword = text;
        password_call_propose(p, NODE_OP_USER_ADD, p->request, req_message_done);
    } else {
        Etcdserverpb__AuthUserChangePasswordRequest *q =
            (Etcdserverpb__AuthUserChangePasswordRequest *) p->request;

        q->password = text + BASE64_BYTES;
        q->hashedpassword = text;
        password_call_propose(p, NODE_OP_USER_CHANGE_PASSWORD, p->request, req_message_done);
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
    password_job_run(p, hash_work, hashed, true);
}

void auth_call_user_add(struct call *c, struct bytes message)
{
    Etcdserverpb__AuthUserAddRequest *q;
    struct password_call *p;

    if (!auth_call_take(c, &etcdserverpb__auth_user_add_request__descriptor, &message, &q))
        return;
    if (q->options == NULL || !q->options->no_password) {
        hash_and_propose(c, &q->base, q->name, q->password, message);
        return;
    }
    /* A password that nobody will use does not get into the log either. */
    p = password_call_new(c, q->name, q->password);
    if (p == NULL)
        return;
    password_wipe(q->password);
    secret_wipe((void *) (uintptr_t) message.p, message.n);
    q->password = (char *) (uintptr_t) protobuf_c_empty_string;
    password_call_propose(p, NODE_OP_USER_ADD, &q->base, req_message_done);
}

void auth_call_user_change_password(struct call *c, struct bytes message)
{
    Etcdserverpb__AuthUserChangePasswordRequest *q;

    if (!auth_call_take(c, &etcdserverpb__auth_user_change_password_request__descriptor, &message,
                        &q))
        return;
    if (q->password[0] != 0)
        hash_and_propose(c, &q->base, q->name, q->password, message);
    else
        req_propose(c, NODE_OP_USER_CHANGE_PASSWORD, message, req_message_done);
}
