/* print_simple.c -- for people: -w simple. */
#include "cli/print_simple.h"
#include "cli/text.h"

static void put_line(const struct print_what *w, struct bytes s)
{
    if (w->how->hex)
        text_hex_escape(w->out, s);
    else
        buf_add_bytes(w->out, s);
    buf_add_char(w->out, '\n');
}

static void put_kv(const struct print_what *w, const Mvccpb__KeyValue *kv)
{
    if (!w->how->value_only)
        put_line(w, bytes_of(kv->key.data, kv->key.len));
    put_line(w, bytes_of(kv->value.data, kv->value.len));
}

static void simple_put(const struct print_what *w, const Etcdserverpb__PutResponse *r)
{
    buf_add_str(w->out, "OK\n");
    if (r->prev_kv != NULL)
        put_kv(w, r->prev_kv);
}

static void simple_get(const struct print_what *w, const Etcdserverpb__RangeResponse *r)
{
    for (size_t i = 0; i < r->n_kvs; i++)
        put_kv(w, r->kvs[i]);
}

static void simple_del(const struct print_what *w, const Etcdserverpb__DeleteRangeResponse *r)
{
    buf_printf(w->out, "%" PRId64 "\n", r->deleted);
    for (size_t i = 0; i < r->n_prev_kvs; i++)
        put_kv(w, r->prev_kvs[i]);
}

static void put_response_op(const struct print_what *w, const Etcdserverpb__ResponseOp *op);

static void simple_txn(const struct print_what *w, const Etcdserverpb__TxnResponse *r)
{
    buf_add_str(w->out, r->succeeded ? "SUCCESS\n" : "FAILURE\n");
    for (size_t i = 0; i < r->n_responses; i++) {
        buf_add_char(w->out, '\n');
        put_response_op(w, r->responses[i]);
    }
}

static void put_response_op(const struct print_what *w, const Etcdserverpb__ResponseOp *op)
{
    switch (op->response_case) {
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE:
        simple_get(w, op->response_range);
        break;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT:
        simple_put(w, op->response_put);
        break;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE:
        simple_del(w, op->response_delete_range);
        break;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN:
        simple_txn(w, op->response_txn);
        break;
    default:
        break;
    }
}

static void simple_watch(const struct print_what *w, const struct print_watch *r)
{
    static const Mvccpb__KeyValue nothing = MVCCPB__KEY_VALUE__INIT;

    for (size_t i = 0; i < r->event_count; i++) {
        const Mvccpb__Event *ev = r->events[i];

        buf_add_str(w->out, ev->type == MVCCPB__EVENT__EVENT_TYPE__DELETE ? "DELETE\n" : "PUT\n");
        if (ev->prev_kv != NULL)
            put_kv(w, ev->prev_kv);
        put_kv(w, ev->kv != NULL ? ev->kv : &nothing);
    }
}

/* ---- leases ---- */

static void put_lease(const struct print_what *w, int64_t id)
{
    buf_add_str(w->out, "lease ");
    text_lease_id(w->out, id);
}

static void simple_grant(const struct print_what *w, const Etcdserverpb__LeaseGrantResponse *r)
{
    put_lease(w, r->id);
    buf_printf(w->out, " granted with TTL(%" PRId64 "s)\n", r->ttl);
}

static void simple_revoke(const struct print_what *w, const Etcdserverpb__LeaseRevokeResponse *r)
{
    (void) r;
    put_lease(w, (int64_t) w->lease_id);
    buf_add_str(w->out, " revoked\n");
}

static void simple_keep_alive(const struct print_what *w,
                              const Etcdserverpb__LeaseKeepAliveResponse *r)
{
    put_lease(w, r->id);
    buf_printf(w->out, " keepalived with TTL(%" PRId64 ")\n", r->ttl);
}

static void simple_time_to_live(const struct print_what *w,
                                const Etcdserverpb__LeaseTimeToLiveResponse *r)
{
    put_lease(w, r->id);
    if (r->grantedttl == 0 && r->ttl == -1) {
        buf_add_str(w->out, " already expired\n");
        return;
    }
    buf_printf(w->out, " granted with TTL(%" PRId64 "s), remaining(%" PRId64 "s)", r->grantedttl,
               r->ttl);
    if (w->how->with_keys) {
        buf_add_str(w->out, ", attached keys([");
        for (size_t i = 0; i < r->n_keys; i++) {
            buf_add_str(w->out, i == 0 ? "" : " ");
            buf_add(w->out, r->keys[i].data, r->keys[i].len);
        }
        buf_add_str(w->out, "])");
    }
    buf_add_char(w->out, '\n');
}

static void simple_leases(const struct print_what *w, const Etcdserverpb__LeaseLeasesResponse *r)
{
    buf_printf(w->out, "found %zu leases\n", r->n_leases);
    for (size_t i = 0; i < r->n_leases; i++) {
        text_lease_id(w->out, r->leases[i]->id);
        buf_add_char(w->out, '\n');
    }
}

/* ---- members ---- */

/* NUL-ended cells as "a, b, c". */
static void put_cells(struct buf *out, struct buf *cells)
{
    const char *cell = buf_cstr(cells);
    const char *end = cell + cells->len;

    for (bool first = true; cell < end; first = false) {
        buf_printf(out, "%s%s", first ? "" : ", ", cell);
        cell += strlen(cell) + 1;
    }
    buf_add_char(out, '\n');
    buf_clear(cells);
}

static uint64_t cluster_of(const Etcdserverpb__ResponseHeader *h)
{
    return h == NULL ? 0 : h->cluster_id;
}

static void simple_member_list(const struct print_what *w,
                               const Etcdserverpb__MemberListResponse *r)
{
    struct buf cells;

    buf_init(&cells, w->out->bytes_max);
    for (size_t i = 0; i < r->n_members; i++) {
        print_member_cells(&cells, r->members[i]);
        put_cells(w->out, &cells);
    }
    buf_done(&cells);
}

/* NAME=URL of every peer URL of every member: what the new member is to be started with. */
static void put_initial_cluster(const struct print_what *w,
                                const Etcdserverpb__MemberAddResponse *r)
{
    bool first = true;

    for (size_t i = 0; i < r->n_members; i++) {
        const Etcdserverpb__Member *m = r->members[i];
        const char *name = m->id == r->member->id ? w->member_name : m->name;

        for (size_t k = 0; k < m->n_peerurls; k++, first = false)
            buf_printf(w->out, "%s%s=%s", first ? "" : ",", name, m->peerurls[k]);
    }
}

static void simple_member_add(const struct print_what *w, const Etcdserverpb__MemberAddResponse *r)
{
    if (r->member == NULL)
        return;
    buf_printf(w->out, "Member %16" PRIx64 " added %sto cluster %16" PRIx64 "\n\n", r->member->id,
               r->member->islearner ? "as learner " : "", cluster_of(r->header));
    buf_printf(w->out, "ETCD_NAME=\"%s\"\nETCD_INITIAL_CLUSTER=\"", w->member_name);
    put_initial_cluster(w, r);
    buf_printf(w->out,
               "\"\nETCD_INITIAL_ADVERTISE_PEER_URLS=\"%s\"\n"
               "ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n",
               w->peer_urls);
}

static void put_member_done(const struct print_what *w, const char *what,
                            const Etcdserverpb__ResponseHeader *h)
{
    buf_printf(w->out, "Member %16" PRIx64 " %s cluster %16" PRIx64 "\n", w->member_id, what,
               cluster_of(h));
}

static void simple_member_remove(const struct print_what *w,
                                 const Etcdserverpb__MemberRemoveResponse *r)
{
    put_member_done(w, "removed from", r->header);
}

static void simple_member_update(const struct print_what *w,
                                 const Etcdserverpb__MemberUpdateResponse *r)
{
    put_member_done(w, "updated in", r->header);
}

static void simple_member_promote(const struct print_what *w,
                                  const Etcdserverpb__MemberPromoteResponse *r)
{
    put_member_done(w, "promoted in", r->header);
}

static void simple_downgrade(const struct print_what *w, const Etcdserverpb__DowngradeResponse *r)
{
    buf_printf(w->out, "Downgrade %s success, cluster version %s\n", w->action, r->version);
}

static void simple_move_leader(const struct print_what *w,
                               const Etcdserverpb__MoveLeaderResponse *r)
{
    (void) r;
    buf_printf(w->out, "Leadership transferred from %" PRIx64 " to %" PRIx64 "\n", w->member_id,
               w->target_id);
}

/* ---- endpoints ---- */

static void simple_health(const struct print_what *w, const struct print_health *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct print_health *h = &list[i];

        if (h->error[0] == 0)
            buf_printf(w->out, "%s is healthy: successfully committed proposal: took = %s\n",
                       h->endpoint, h->took);
        else
            buf_printf(w->errs, "%s is unhealthy: failed to commit proposal: %s\n", h->endpoint,
                       h->error);
    }
}

static void simple_status(const struct print_what *w, const struct print_status *list, size_t n)
{
    struct buf cells;

    buf_init(&cells, w->out->bytes_max);
    for (size_t i = 0; i < n; i++) {
        print_status_cells(&cells, &list[i]);
        put_cells(w->out, &cells);
    }
    buf_done(&cells);
}

static void simple_hash_kv(const struct print_what *w, const struct print_hash_kv *list, size_t n)
{
    struct buf cells;

    buf_init(&cells, w->out->bytes_max);
    for (size_t i = 0; i < n; i++) {
        print_hash_kv_cells(&cells, &list[i]);
        put_cells(w->out, &cells);
    }
    buf_done(&cells);
}

static void simple_alarm(const struct print_what *w, const Etcdserverpb__AlarmResponse *r)
{
    for (size_t i = 0; i < r->n_alarms; i++) {
        print_alarm_text(w->out, r->alarms[i]);
        buf_add_char(w->out, '\n');
    }
}

const struct printer printer_simple = {
    .name = "simple",
    .put = simple_put,
    .get = simple_get,
    .del = simple_del,
    .txn = simple_txn,
    .watch = simple_watch,
    .grant = simple_grant,
    .revoke = simple_revoke,
    .keep_alive = simple_keep_alive,
    .time_to_live = simple_time_to_live,
    .leases = simple_leases,
    .member_list = simple_member_list,
    .member_add = simple_member_add,
    .member_remove = simple_member_remove,
    .member_update = simple_member_update,
    .member_promote = simple_member_promote,
    .health = simple_health,
    .status = simple_status,
    .hash_kv = simple_hash_kv,
    .alarm = simple_alarm,
    .move_leader = simple_move_leader,
    .downgrade = simple_downgrade,
    .done = simple_done,
    .role_get = simple_role_get,
    .role_list = simple_role_list,
    .user_get = simple_user_get,
    .user_list = simple_user_list,
    .auth_status = simple_auth_status,
};
