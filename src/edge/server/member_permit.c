#include "edge/server/member_permit.h"

#include "base/alloc.h"
#include "edge/server/server_int.h"
#include "edge/server/token.h"

#define BEARER "Bearer "
#define NAME_BYTES_MAX ((size_t) 1 << 16) /* what a token says and what is made of it */

struct member_permit {
    struct server *server;
    struct auth_reader *reader;
    struct arena mem; /* of one question */
};

int member_permit_new(struct server *s, struct member_permit **ret, struct err *e)
{
    struct member_permit *p = mem_calloc(1, sizeof *p);

    if (p == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    p->server = s;
    p->reader = auth_reader_new(node_auth(s->node));
    if (p->reader == NULL) {
        mem_free(p);
        return err_set(e, ERR_LIMIT, "more than %d readers of users and roles", AUTH_READERS_MAX);
    }
    arena_init(&p->mem, NAME_BYTES_MAX);
    *ret = p;
    return 0;
}

void member_permit_free(struct member_permit *p)
{
    if (p == NULL)
        return;
    auth_reader_free(p->reader);
    arena_done(&p->mem);
    mem_free(p);
}

static bool by_simple_token(struct member_permit *p, struct bytes token, struct auth_who *w)
{
    mono_ns now = clock_mono_ns(p->server->o.clock);
    struct bytes user;
    uint64_t index;
    bool ok;

    if (!token_index(token, &index))
        return false;
    w->revision = auth_view_revision(auth_pin(p->reader));
    ok = auth_token_use(p->reader, token, now, &user);
    if (ok)
        w->user = bytes_of(arena_dup(&p->mem, user.p, user.n), user.n);
    auth_unpin(p->reader);
    return ok && w->user.p != NULL;
}

static bool identify(struct member_permit *p, struct bytes token, struct auth_who *w)
{
    const struct tokens *t = p->server->tokens;

    if (token.n >= sizeof BEARER - 1 && memcmp(token.p, BEARER, sizeof BEARER - 1) == 0)
        token = bytes_of(token.p + sizeof BEARER - 1, token.n - (sizeof BEARER - 1));
    w->known = token_is_simple(t) ? by_simple_token(p, token, w)
                                  : token_check(t, token, clock_wall_ms(p->server->o.clock),
                                                &p->mem, &w->user, &w->revision);
    return w->known;
}

enum api_error member_permit_ask(void *permit, struct bytes token)
{
    struct member_permit *p = permit;
    struct auth_who w = {0};
    enum api_error err = API_OK;

    if (!auth_on(node_auth(p->server->node)))
        return API_OK;
    if (token.n > 0 && !identify(p, token, &w))
        err = API_INVALID_AUTH_TOKEN;
    if (err == API_OK) {
        err = auth_check_admin(auth_pin(p->reader), &w);
        auth_unpin(p->reader);
    }
    arena_reset(&p->mem);
    return err;
}
