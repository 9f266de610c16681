/* alarms.c -- alarms: set, taken back and listed by the log, and raised by this member. */
#include "node/measure.h"

/* ---- from the log ---- */

static void alarm_reply_add(Etcdserverpb__AlarmResponse *res, struct arena *a, uint64_t member,
                            int kind)
{
    Etcdserverpb__AlarmMember *m;

    m = (Etcdserverpb__AlarmMember *) wire_new(&etcdserverpb__alarm_member__descriptor, a);
    if (m == NULL)
        return;
    m->memberid = member;
    m->alarm = (Etcdserverpb__AlarmType) kind;
    res->alarms[res->n_alarms++] = m;
}

/* `one`: the member whose alarm was set or taken back (any number, 0 too); NULL: all that are on.
 */
static void alarm_reply(struct node_request *w, const struct cluster_view *v, int kind,
                        const uint64_t *one)
{
    Etcdserverpb__AlarmResponse *res = node__apply_reply(w,
                                                         &etcdserverpb__alarm_response__descriptor);

    if (res == NULL)
        return;
    res->alarms = arena_calloc(w->arena, v->alarms_n + 1, sizeof(Etcdserverpb__AlarmMember *));
    if (res->alarms == NULL)
        return;
    if (one != NULL) {
        alarm_reply_add(res, w->arena, *one, kind);
        return;
    }
    for (size_t i = 0; i < v->alarms_n; i++) {
        if (kind == 0 || v->alarms[i].kind == kind)
            alarm_reply_add(res, w->arena, v->alarms[i].member_id, v->alarms[i].kind);
    }
}

void node__apply_alarm(struct node *n, const Etcdserverpb__AlarmRequest *r, struct node_request *w)
{
    struct cluster *c = n->apply.cluster;
    int kind = (int) r->alarm;
    bool known = kind == ETCDSERVERPB__ALARM_TYPE__NOSPACE ||
                 kind == ETCDSERVERPB__ALARM_TYPE__CORRUPT;
    bool changed;

    switch (r->action) {
    case ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__GET:
        alarm_reply(w, cluster_view(c), kind, NULL);
        break;
    case ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE:
        if (known && cluster_apply_alarm(c, r->memberid, kind, true))
            LOG_WARN(n->env.log, "alarm raised", F_STR("alarm", kind == 1 ? "NOSPACE" : "CORRUPT"),
                     F_HEX("from", r->memberid));
        if (known)
            alarm_reply(w, cluster_view(c), kind, &r->memberid);
        else
            node__apply_reply(w, &etcdserverpb__alarm_response__descriptor);
        break;
    case ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE:
        changed = known && cluster_apply_alarm(c, r->memberid, kind, false);
        if (changed)
            alarm_reply(w, cluster_view(c), kind, &r->memberid);
        else
            node__apply_reply(w, &etcdserverpb__alarm_response__descriptor);
        break;
    default:
        break; /* an action this version does not know: nothing happens, nothing is answered but a
                  header */
    }
    n->apply.cluster_changed = true;
    node__apply_answer(n, w);
}

/* ---- of this member ---- */

/* The client that met the limit is told once the alarm is on. */
static void nospace_raised(struct node *n, struct node_request *own)
{
    struct node_request *then = node__own_arg(own);

    (void) n;
    if (then == NULL)
        return;
    then->next = NULL;
    then->result = (struct node_result){.err = API_NO_SPACE};
    then->sink->deliver(then->sink, then);
}

void node__raise_nospace(struct node *n, struct node_request *then)
{
    Etcdserverpb__AlarmRequest m = ETCDSERVERPB__ALARM_REQUEST__INIT;

    if (atomic_load(&n->pub.nospace)) {
        if (then != NULL)
            node__fail(n, &n->apply.out, then, API_NO_SPACE);
        return;
    }
    m.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE;
    m.memberid = n->member_id;
    m.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    node__propose_own(n, NODE_OP_ALARM, &m.base, nospace_raised, then);
}
