/* members.c -- MemberList: clients that ask where the cluster is are told of the proxies, so that
 * they go on through them.
 *
 *   no advertised URL                  the members themselves are asked
 *   no --resolver-prefix               this proxy
 *   --resolver-prefix                  all that have registered there; this one while none has
 */
#include <json-c/json.h>

#include "edge/proxy/proxy_int.h"

#define VALUE_DEPTH_MAX 8

struct listing {
    struct ask ask;
    struct call *call;
};

static void reply(struct call *c, const Etcdserverpb__MemberListResponse *m)
{
    struct buf out;
    struct net_piece piece;

    buf_init(&out, PROXY_RECV_BYTES_MAX);
    if (wire_encode(&m->base, &out)) {
        piece = net_piece_copied(out.p, out.len);
        call_reply(c, &piece, 1);
    } else {
        call_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
    }
    buf_done(&out);
}

static void reply_self(struct call *c, const struct proxy *p)
{
    Etcdserverpb__MemberListResponse m = ETCDSERVERPB__MEMBER_LIST_RESPONSE__INIT;
    Etcdserverpb__Member self = ETCDSERVERPB__MEMBER__INIT, *members[] = {&self};
    char *urls[] = {(char *) (uintptr_t) p->options.advertise_url};

    self.name = (char *) (uintptr_t) p->options.hostname;
    self.clienturls = urls;
    self.n_clienturls = ARRAY_LEN(urls);
    m.members = members;
    m.n_members = ARRAY_LEN(members);
    reply(c, &m);
}

/* ---- those that have registered ---- */

static char *string_of(struct json_object *o, const char *key, struct arena *a)
{
    struct json_object *v;

    if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
        return NULL;
    return arena_printf(a, "%s", json_object_get_string(v));
}

static struct json_object *parse(struct bytes text)
{
    struct json_tokener *t = json_tokener_new_ex(VALUE_DEPTH_MAX);
    struct json_object *o = NULL;

    if (t == NULL)
        return NULL;
    if (text.n <= PROXY_REGISTER_BYTES_MAX)
        o = json_tokener_parse_ex(t, (const char *) text.p, (int) text.n);
    json_tokener_free(t);
    if (o != NULL && json_object_is_type(o, json_type_object))
        return o;
    json_object_put(o);
    return NULL;
}

bool members__of_value(struct bytes value, struct arena *a, char **ret_addr, char **ret_name)
{
    struct json_object *o = parse(value), *meta = NULL;
    char *text = NULL;

    *ret_addr = *ret_name = NULL;
    if (o != NULL) {
        *ret_addr = string_of(o, "Addr", a);
        text = string_of(o, "Metadata", a);
    }
    if (text != NULL)
        meta = parse(bytes_str(text));
    if (meta != NULL)
        *ret_name = string_of(meta, "name", a);
    json_object_put(meta);
    json_object_put(o);
    return *ret_addr != NULL && *ret_name != NULL && utf8_valid(bytes_str(*ret_addr)) &&
           utf8_valid(bytes_str(*ret_name));
}

/* False: none has, or no memory. */
static bool reply_registered(struct call *c, const Etcdserverpb__RangeResponse *r)
{
    Etcdserverpb__MemberListResponse m = ETCDSERVERPB__MEMBER_LIST_RESPONSE__INIT;
    struct arena *a = call_arena(c);
    char **urls = arena_calloc(a, r->n_kvs + 1, sizeof *urls);

    m.members = arena_calloc(a, r->n_kvs + 1, sizeof(Etcdserverpb__Member *));
    if (m.members == NULL || urls == NULL)
        return false;
    for (size_t i = 0; i < r->n_kvs; i++) {
        Etcdserverpb__Member *one = arena_alloc(a, sizeof *one);
        char *name;

        if (one == NULL || !members__of_value(wire_bytes(r->kvs[i]->value), a, &urls[i], &name))
            continue;
        etcdserverpb__member__init(one);
        one->name = name;
        one->clienturls = &urls[i];
        one->n_clienturls = 1;
        m.members[m.n_members++] = one;
    }
    if (m.n_members > 0)
        reply(c, &m);
    return m.n_members > 0;
}

static void on_done(struct ask *ask, int code, struct bytes message, struct bytes response)
{
    struct call *c = CONTAINER_OF(ask, struct listing, ask)->call;
    struct arena *a = call_arena(c);
    Etcdserverpb__RangeResponse *m;

    (void) message;
    if (code != GRPC_OK || WIRE_DECODE(etcdserverpb__range_response, response, a, &m, NULL) != 0 ||
        !reply_registered(c, m))
        reply_self(c, call_service(c));
}

static void on_cancel(struct call *c, enum call_cancel_reason why)
{
    struct listing *l = call_user(c);

    (void) why;
    ask_cancel(&l->ask);
}

/* The keys under prefix + "/", encoded in the arena. */
static bool range_of(struct proxy *p, struct arena *a, struct bytes *ret)
{
    Etcdserverpb__RangeRequest m = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const char *key = arena_printf(a, "%s/", p->options.resolver_prefix);
    const char *end = arena_printf(a, "%s0", p->options.resolver_prefix); /* '/' + 1 */
    struct buf out;
    const char *text;
    bool fine;
    int code;

    if (key == NULL || end == NULL)
        return false;
    m.key = wire_binary(bytes_str(key));
    m.range_end = wire_binary(bytes_str(end));
    m.serializable = true;
    buf_init(&out, PROXY_REGISTER_BYTES_MAX);
    fine = wire_encode(&m.base, &out) &&
           proxy__request(p, "/etcdserverpb.KV/Range", buf_bytes(&out), a, ret, &code, &text);
    if (fine)
        ret->p = arena_dup(a, ret->p, ret->n);
    buf_done(&out);
    return fine && ret->p != NULL;
}

static void list_registered(struct call *c, struct proxy *p)
{
    struct listing *l = arena_calloc(call_arena(c), 1, sizeof *l);
    struct bytes request;

    if (l == NULL || !range_of(p, call_arena(c), &request)) {
        call_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    l->call = c;
    l->ask = (struct ask){.up = p->up,
                          .loop = p->loop,
                          .path = "/etcdserverpb.KV/Range",
                          .request = request,
                          .deadline_ns = call_deadline_ns(c),
                          .repeatable = true,
                          .done = on_done};
    call_set_user(c, l);
    call_on_cancel(c, on_cancel);
    ask_start(&l->ask);
}

void members__list(struct call *c, struct bytes message)
{
    struct proxy *p = call_service(c);

    if (p->options.advertise_url[0] == 0)
        forward__request(c, message);
    else if (p->options.resolver_prefix[0] != 0)
        list_registered(c, p);
    else
        reply_self(c, p);
}
