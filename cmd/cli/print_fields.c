/* print_fields.c -- one "Name" : value per line: -w fields. */
#include "cli/print.h"
#include "cli/text.h"

static void put_int(const struct print_what *w, const char *name, int64_t v)
{
    buf_printf(w->out, "\"%s\" : %" PRId64 "\n", name, v);
}

static void put_uint(const struct print_what *w, const char *name, uint64_t v)
{
    buf_printf(w->out, "\"%s\" : %" PRIu64 "\n", name, v);
}

static void put_bool(const struct print_what *w, const char *name, bool v)
{
    buf_printf(w->out, "\"%s\" : %s\n", name, v ? "true" : "false");
}

static void put_quoted(const struct print_what *w, const char *name, struct bytes v)
{
    buf_printf(w->out, "\"%s\" : ", name);
    text_quote(w->out, v);
    buf_add_char(w->out, '\n');
}

/* A cluster or member identifier: with --hex in hexadecimal. */
static void put_id(const struct print_what *w, const char *name, uint64_t v)
{
    if (w->how->hex)
        buf_printf(w->out, "\"%s\" : %" PRIx64 "\n", name, v);
    else
        put_uint(w, name, v);
}

static void put_lease(const struct print_what *w, const char *name, int64_t v)
{
    if (!w->how->hex) {
        put_int(w, name, v);
        return;
    }
    buf_printf(w->out, "\"%s\" : ", name);
    text_lease_id(w->out, v);
    buf_add_char(w->out, '\n');
}

static void put_header(const struct print_what *w, const Etcdserverpb__ResponseHeader *h)
{
    static const Etcdserverpb__ResponseHeader no_header = ETCDSERVERPB__RESPONSE_HEADER__INIT;

    h = h != NULL ? h : &no_header;
    put_id(w, "ClusterID", h->cluster_id);
    put_id(w, "MemberID", h->member_id);
    if (h->revision > 0)
        put_int(w, "Revision", h->revision);
    put_uint(w, "RaftTerm", h->raft_term);
}

/* The six lines of a pair; `prefix` is "" or "Prev". */
static void put_kv(const struct print_what *w, const char *prefix, const Mvccpb__KeyValue *kv)
{
    static const Mvccpb__KeyValue nothing = MVCCPB__KEY_VALUE__INIT;
    char name[32];

    kv = kv != NULL ? kv : &nothing;
    snprintf(name, sizeof(name), "%sKey", prefix);
    put_quoted(w, name, bytes_of(kv->key.data, kv->key.len));
    snprintf(name, sizeof(name), "%sCreateRevision", prefix);
    put_int(w, name, kv->create_revision);
    snprintf(name, sizeof(name), "%sModRevision", prefix);
    put_int(w, name, kv->mod_revision);
    snprintf(name, sizeof(name), "%sVersion", prefix);
    put_int(w, name, kv->version);
    snprintf(name, sizeof(name), "%sValue", prefix);
    put_quoted(w, name, bytes_of(kv->value.data, kv->value.len));
    snprintf(name, sizeof(name), "%sLease", prefix);
    put_lease(w, name, kv->lease);
}

static void fields_put(const struct print_what *w, const Etcdserverpb__PutResponse *r)
{
    put_header(w, r->header);
    if (r->prev_kv != NULL)
        put_kv(w, "Prev", r->prev_kv);
}

static void fields_get(const struct print_what *w, const Etcdserverpb__RangeResponse *r)
{
    put_header(w, r->header);
    for (size_t i = 0; i < r->n_kvs; i++)
        put_kv(w, "", r->kvs[i]);
    put_bool(w, "More", r->more);
    put_int(w, "Count", r->count);
}

static void fields_del(const struct print_what *w, const Etcdserverpb__DeleteRangeResponse *r)
{
    put_header(w, r->header);
    put_int(w, "Deleted", r->deleted);
    for (size_t i = 0; i < r->n_prev_kvs; i++)
        put_kv(w, "Prev", r->prev_kvs[i]);
}

static void fields_txn(const struct print_what *w, const Etcdserverpb__TxnResponse *r);

static void put_response_op(const struct print_what *w, const Etcdserverpb__ResponseOp *op)
{
    switch (op->response_case) {
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE:
        fields_get(w, op->response_range);
        break;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT:
        fields_put(w, op->response_put);
        break;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE:
        fields_del(w, op->response_delete_range);
        break;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN:
        fields_txn(w, op->response_txn);
        break;
    default:
        break;
    }
}

static void fields_txn(const struct print_what *w, const Etcdserverpb__TxnResponse *r)
{
    put_header(w, r->header);
    put_bool(w, "Succeeded", r->succeeded);
    for (size_t i = 0; i < r->n_responses; i++)
        put_response_op(w, r->responses[i]);
}

static void fields_watch(const struct print_what *w, const struct print_watch *r)
{
    put_header(w, r->header);
    for (size_t i = 0; i < r->event_count; i++) {
        const Mvccpb__Event *ev = r->events[i];

        buf_printf(w->out, "\"Type\" : %s\n",
                   ev->type == MVCCPB__EVENT__EVENT_TYPE__DELETE ? "DELETE" : "PUT");
        if (ev->prev_kv != NULL)
            put_kv(w, "Prev", ev->prev_kv);
        put_kv(w, "", ev->kv);
    }
}

static void fields_grant(const struct print_what *w, const Etcdserverpb__LeaseGrantResponse *r)
{
    put_header(w, r->header);
    put_lease(w, "ID", r->id);
    put_int(w, "TTL", r->ttl);
}

static void fields_revoke(const struct print_what *w, const Etcdserverpb__LeaseRevokeResponse *r)
{
    put_header(w, r->header);
}

static void fields_keep_alive(const struct print_what *w,
                              const Etcdserverpb__LeaseKeepAliveResponse *r)
{
    put_header(w, r->header);
    put_lease(w, "ID", r->id);
    put_int(w, "TTL", r->ttl);
}

static void fields_time_to_live(const struct print_what *w,
                                const Etcdserverpb__LeaseTimeToLiveResponse *r)
{
    put_header(w, r->header);
    put_lease(w, "ID", r->id);
    put_int(w, "TTL", r->ttl);
    put_int(w, "GrantedTTL", r->grantedttl);
    for (size_t i = 0; i < r->n_keys; i++)
        put_quoted(w, "Key", bytes_of(r->keys[i].data, r->keys[i].len));
}

static void fields_leases(const struct print_what *w, const Etcdserverpb__LeaseLeasesResponse *r)
{
    put_header(w, r->header);
    for (size_t i = 0; i < r->n_leases; i++)
        put_lease(w, "ID", r->leases[i]->id);
}

static void fields_member_list(const struct print_what *w,
                               const Etcdserverpb__MemberListResponse *r)
{
    put_header(w, r->header);
    for (size_t i = 0; i < r->n_members; i++) {
        const Etcdserverpb__Member *m = r->members[i];

        put_id(w, "ID", m->id);
        put_quoted(w, "Name", bytes_str(m->name));
        for (size_t k = 0; k < m->n_peerurls; k++)
            put_quoted(w, "PeerURL", bytes_str(m->peerurls[k]));
        for (size_t k = 0; k < m->n_clienturls; k++)
            put_quoted(w, "ClientURL", bytes_str(m->clienturls[k]));
        put_bool(w, "IsLearner", m->islearner);
        buf_add_char(w->out, '\n');
    }
}

static void fields_health(const struct print_what *w, const struct print_health *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put_quoted(w, "Endpoint", bytes_str(list[i].endpoint));
        put_bool(w, "Health", list[i].health);
        buf_printf(w->out, "\"Took\" : %s\n\"Error\" : %s\n\n", list[i].took, list[i].error);
    }
}

static void put_errors(const struct print_what *w, const Etcdserverpb__StatusResponse *s)
{
    buf_add_str(w->out, "\"Errors\" : [");
    for (size_t i = 0; i < s->n_errors; i++)
        buf_printf(w->out, "%s%s", i == 0 ? "" : " ", s->errors[i]);
    buf_add_str(w->out, "]\n");
}

static void fields_status(const struct print_what *w, const struct print_status *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const Etcdserverpb__StatusResponse *s = list[i].status;
        const Etcdserverpb__DowngradeInfo *d = s->downgradeinfo;

        put_header(w, s->header);
        put_quoted(w, "Version", bytes_str(s->version));
        put_quoted(w, "StorageVersion", bytes_str(s->storageversion));
        put_int(w, "DBSize", s->dbsize);
        put_int(w, "DBSizeInUse", s->dbsizeinuse);
        put_int(w, "DBSizeQuota", s->dbsizequota);
        put_uint(w, "Leader", s->leader);
        put_bool(w, "IsLearner", s->islearner);
        put_uint(w, "RaftIndex", s->raftindex);
        put_uint(w, "RaftTerm", s->raftterm);
        put_uint(w, "RaftAppliedIndex", s->raftappliedindex);
        put_errors(w, s);
        put_quoted(w, "Endpoint", bytes_str(list[i].endpoint));
        put_quoted(w, "DowngradeTargetVersion", bytes_str(d == NULL ? "" : d->targetversion));
        put_bool(w, "DowngradeEnabled", d != NULL && d->enabled);
        buf_add_char(w->out, '\n');
    }
}

static void fields_hash_kv(const struct print_what *w, const struct print_hash_kv *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put_header(w, list[i].hash->header);
        put_quoted(w, "Endpoint", bytes_str(list[i].endpoint));
        put_uint(w, "Hash", list[i].hash->hash);
        put_int(w, "HashRevision", list[i].hash->hash_revision);
        buf_add_char(w->out, '\n');
    }
}

static void fields_alarm(const struct print_what *w, const Etcdserverpb__AlarmResponse *r)
{
    put_header(w, r->header);
    for (size_t i = 0; i < r->n_alarms; i++) {
        put_id(w, "MemberID", r->alarms[i]->memberid);
        buf_printf(w->out, "\"AlarmType\" : %s\n\n", print_alarm_name(r->alarms[i]->alarm));
    }
}

/* ---- users and roles ---- */

static void fields_done(const struct print_what *w, const struct print_done *d)
{
    put_header(w, print_header_of(d->answer));
}

static void fields_role_get(const struct print_what *w, const Etcdserverpb__AuthRoleGetResponse *r)
{
    put_header(w, r->header);
    for (size_t i = 0; i < r->n_perm; i++) {
        const Authpb__Permission *p = r->perm[i];

        buf_printf(w->out, "\"PermType\" :  %s\n", print_permission_name(p->permtype));
        put_quoted(w, "Key", bytes_of(p->key.data, p->key.len));
        put_quoted(w, "RangeEnd", bytes_of(p->range_end.data, p->range_end.len));
    }
}

static void fields_role_list(const struct print_what *w,
                             const Etcdserverpb__AuthRoleListResponse *r)
{
    put_header(w, r->header);
    buf_add_str(w->out, "\"Roles\" :");
    for (size_t i = 0; i < r->n_roles; i++) {
        buf_add_char(w->out, ' ');
        text_quote(w->out, bytes_str(r->roles[i]));
    }
    buf_add_char(w->out, '\n');
}

const struct printer printer_fields = {
    .name = "fields",
    .put = fields_put,
    .get = fields_get,
    .del = fields_del,
    .txn = fields_txn,
    .watch = fields_watch,
    .grant = fields_grant,
    .revoke = fields_revoke,
    .keep_alive = fields_keep_alive,
    .time_to_live = fields_time_to_live,
    .leases = fields_leases,
    .member_list = fields_member_list,
    .health = fields_health,
    .status = fields_status,
    .hash_kv = fields_hash_kv,
    .alarm = fields_alarm,
    .done = fields_done,
    .role_get = fields_role_get,
    .role_list = fields_role_list,
};
