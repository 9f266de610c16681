/* Maintenance.Downgrade: a cluster gets ready to be run by the release before (etcd's
 * server/version/manager.go). */
#include <ctype.h>

#include "edge/server/maintenance.h"
#include "edge/server/permit.h"
#include "membership.pb-c.h"

/* ---- versions ---- */

static bool number(const char **s, unsigned *ret)
{
    const char *from = *s;

    for (*ret = 0; isdigit((unsigned char) **s) && *s - from < 6; ++*s)
        *ret = *ret * 10 + (unsigned) (**s - '0');
    return *s > from && (*from != '0' || *s - from == 1);
}

bool downgrade_version_parse(const char *s, uint32_t *ret)
{
    unsigned major, minor, patch;

    if (!number(&s, &major) || *s++ != '.' || !number(&s, &minor) || major > 0xffff ||
        minor > 0xffff)
        return false;
    *ret = major << 16 | minor;
    if (*s == 0)
        return true;
    if (*s++ != '.' || !number(&s, &patch))
        return false;
    /* A pre-release or build suffix: letters, digits, points and hyphens. */
    if (*s == '-' || *s == '+')
        return s[1] != 0 && s[1 + strspn(s + 1, "0123456789abcdefghijklmnopqrstuvwxyz"
                                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ.-+")] == 0;
    return *s == 0;
}

static void downgrade_answer(struct call *c, const struct node_status *st)
{
    Etcdserverpb__DowngradeResponse res;
    const struct node_result none = {0};
    bool old = strcmp(call_server(c)->config->emulated_version, "3.5") == 0;
    char *v = version_text(call_arena(c), st->cluster_version, old ? ".0" : "");
    struct mvcc_header h = header_current(call_io(c), &none);

    etcdserverpb__downgrade_response__init(&res);
    if (v != NULL)
        res.version = v;
    reply_message(c, &h, &res.base);
}

/* One minor below the cluster's version, and no other job under way.  False: the call has been
 * answered. */
static bool downgrade_valid(struct req *r, uint32_t target)
{
    struct node_status st;

    if (reply_failed(r->call, &r->node.result))
        return false;
    node_status(r->io->server->node, &st);
    if ((st.cluster_version & 0xffff) != 0 && target + 1 == st.cluster_version &&
        !st.downgrade_enabled)
        return true;
    reply_error(r->call, target + 1 == st.cluster_version ? API_DOWNGRADE_IN_PROCESS
                                                          : API_INVALID_DOWNGRADE_TARGET_VERSION);
    return false;
}

static void downgrade_done(struct req *r)
{
    struct node_status st;

    if (reply_failed(r->call, &r->node.result))
        return;
    node_status(r->io->server->node, &st);
    downgrade_answer(r->call, &st);
}

/* DowngradeInfoSetRequest through the log. */
static void downgrade_set(struct call *c, bool enabled, uint32_t target,
                          void (*then)(struct req *r))
{
    Membershippb__DowngradeInfoSetRequest m = MEMBERSHIPPB__DOWNGRADE_INFO_SET_REQUEST__INIT;
    struct buf b;
    struct bytes body;

    m.enabled = enabled;
    if (enabled)
        m.ver = version_text(call_arena(c), target, ".0");
    buf_init(&b, 64);
    body = m.ver != NULL && wire_encode(&m.base, &b) ? buf_bytes(&b) : BYTES_EMPTY;
    body.p = arena_dup(call_arena(c), body.p, body.n);
    if (m.ver == NULL || body.p == NULL)
        reply_no_memory(c);
    else
        req_propose(c, NODE_OP_DOWNGRADE_INFO_SET, body, then);
    buf_done(&b);
}

static uint32_t downgrade_target(const Etcdserverpb__DowngradeRequest *q)
{
    uint32_t target;

    if (!downgrade_version_parse(q->version, &target))
        UNREACHABLE();
    return target;
}

static void downgrade_validate(struct req *r)
{
    if (downgrade_valid(r, downgrade_target(r->user)))
        downgrade_done(r);
}

static void downgrade_enable(struct req *r)
{
    uint32_t target = downgrade_target(r->user);

    if (downgrade_valid(r, target))
        downgrade_set(r->call, true, target, downgrade_done);
}

/* As 3.7 has it, a cancellation always succeeds, whatever came of it. */
static void downgrade_ended(struct req *r)
{
    const struct node_result *res = &r->node.result;
    struct node_status st;

    if (res->err != API_OK || res->code != GRPC_OK)
        LOG_WARN(r->io->server->o.log, "failed to cancel downgrade",
                 F_STR("error", res->err != API_OK ? api_error_text(res->err) : res->text));
    node_status(r->io->server->node, &st);
    downgrade_answer(r->call, &st);
}

static void downgrade_cancel(struct req *r)
{
    bool old = strcmp(r->io->server->config->emulated_version, "3.5") == 0;
    struct node_status st;

    node_status(r->io->server->node, &st);
    if (old && reply_failed(r->call, &r->node.result))
        return;
    if (r->node.result.err == API_OK && st.downgrade_enabled) {
        downgrade_set(r->call, false, 0, downgrade_ended);
        return;
    }
    if (old) {
        reply_error(r->call, API_NO_INFLIGHT_DOWNGRADE);
        return;
    }
    if (r->node.result.err == API_OK)
        r->node.result.err = API_NO_INFLIGHT_DOWNGRADE;
    downgrade_ended(r);
}

/* What a target is checked for before anything is asked of the others.  False: the call has been
 * answered. */
static bool downgrade_readable(struct call *c, const Etcdserverpb__DowngradeRequest *q)
{
    struct node_status st;
    uint32_t target;

    node_status(call_server(c)->node, &st);
    if (!downgrade_version_parse(q->version, &target))
        reply_error(c, API_WRONG_DOWNGRADE_VERSION_FORMAT);
    else if (st.cluster_version == 0)
        reply_error(c, API_CLUSTER_VERSION_UNAVAILABLE);
    else
        return true;
    return false;
}

void maintenance_downgrade(struct call *c, struct bytes message)
{
    Etcdserverpb__DowngradeRequest *q;

    count_received(c, METHOD_DOWNGRADE);
    if (!REQUEST_DECODE(c, etcdserverpb__downgrade_request, message, &q) ||
        !permitted(c, permit_admin(c)))
        return;
    switch ((int) q->action) {
    case ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__VALIDATE:
        if (downgrade_readable(c, q))
            read_when(c, false, q, downgrade_validate);
        break;
    case ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__ENABLE:
        if (downgrade_readable(c, q))
            read_when(c, false, q, downgrade_enable);
        break;
    case ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__CANCEL:
        read_when(c, false, q, downgrade_cancel);
        break;
    default:
        call_finish(c, GRPC_UNKNOWN, "etcdserver: unknown method");
    }
}
