/* login.c -- a token for every call, and a new one when a server does not accept it any more.
 *
 * A simple token ends with its time, with a change of the password and with the member that gave
 * it; a JWT ends with the next change of any user or role.  Each is a refusal before anything was
 * done, so that also a call that writes may be sent again.  However many calls are refused at once,
 * one Authenticate is under way.
 */
#define _DEFAULT_SOURCE /* explicit_bzero */
#include "client/client_int.h"

static void set_token(struct login *l, const char *token)
{
    mem_free(l->token);
    l->token = token == NULL || token[0] == 0 ? NULL : xmem_strdup(token);
    l->token_number++;
}

void ketch_set_token(struct ketch_client *c, const char *token)
{
    set_token(&c->login, token);
    c->login.fixed = c->login.token != NULL;
}

bool login__is_stale(const struct ketch_client *c, struct bytes message)
{
    switch (api_error_find(message)) {
    case API_USER_EMPTY:
        return !c->login.fixed && c->login.user != NULL;
    case API_INVALID_AUTH_TOKEN:
    case API_AUTH_OLD_REVISION:
        return !c->login.fixed;
    default:
        return false;
    }
}

/* Takes the token out of the answer; a server without users gives none, and needs none. */
static void take_token(struct ketch_client *c, struct ketch_reply *reply, struct ketch_error *e)
{
    if (reply != NULL) {
        const Etcdserverpb__AuthenticateResponse *r = (const void *) ketch_reply_message(reply);

        set_token(&c->login, r->token);
    } else if (strcmp(e->text, api_error_text(API_AUTH_NOT_ENABLED)) == 0) {
        set_token(&c->login, NULL);
        *e = (struct ketch_error){0};
    }
}

static void on_authenticated(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct ketch_client *c = user;
    struct ketch_error result = *e;
    struct list woken;
    struct list *it;

    c->login.asking = NULL;
    take_token(c, reply, &result);
    ketch_reply_free(reply);
    if (c->closing)
        return; /* those who wait are ended one by one */
    list_init(&woken);
    list_splice(&woken, &c->login.waiting);
    while ((it = list_pop(&woken)) != NULL) {
        struct login_waiter *w = CONTAINER_OF(it, struct login_waiter, link);

        w->go(w, &result);
    }
}

/* NULL without memory. */
static struct ketch_call *authenticate(struct ketch_client *c, int64_t timeout_ms,
                                       ketch_done_fn *done, void *user)
{
    Etcdserverpb__AuthenticateRequest req = ETCDSERVERPB__AUTHENTICATE_REQUEST__INIT;

    req.name = c->login.user;
    req.password = c->login.password;
    return ketch_start(c, KETCH_METHOD_authenticate, &req.base, timeout_ms, done, user);
}

void login__renew(struct ketch_client *c, unsigned seen, struct login_waiter *w)
{
    struct login *l = &c->login;
    struct ketch_error e = {0};

    ASSERT(list_empty(&w->link));
    if (l->user == NULL || l->token_number != seen) {
        w->go(w, &e);
        return;
    }
    if (l->asking == NULL)
        l->asking = authenticate(c, 0, on_authenticated, c);
    if (l->asking == NULL) {
        client__error(&e, KETCH_E_NO_MEMORY, "out of memory");
        w->go(w, &e);
        return;
    }
    list_push(&l->waiting, &w->link);
}

static void forget(struct login *l)
{
    if (l->password != NULL)
        explicit_bzero(l->password, strlen(l->password));
    mem_free(l->user);
    mem_free(l->password);
    l->user = NULL;
    l->password = NULL;
}

void login__done(struct ketch_client *c)
{
    ASSERT(c->login.asking == NULL);
    ASSERT(list_empty(&c->login.waiting));
    forget(&c->login);
    mem_free(c->login.token);
}

int ketch_login(struct ketch_client *c, const char *user, const char *password, int64_t timeout_ms,
                struct ketch_error *e)
{
    Etcdserverpb__AuthenticateRequest req = ETCDSERVERPB__AUTHENTICATE_REQUEST__INIT;
    struct ketch_reply *reply;

    ASSERT(c->login.asking == NULL);
    e->code = KETCH_OK;
    forget(&c->login);
    if (user[0] == 0 || password[0] == 0)
        return KETCH_OK;
    c->login.user = xmem_strdup(user);
    c->login.password = xmem_strdup(password);
    c->login.fixed = false;
    req.name = c->login.user;
    req.password = c->login.password;
    (void) ketch_invoke(c, KETCH_METHOD_authenticate, &req.base, timeout_ms, &reply, e);
    take_token(c, reply, e);
    ketch_reply_free(reply);
    return e->code;
}
