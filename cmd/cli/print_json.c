/* print_json.c -- for programs: -w json.  Names and omissions are those of Go's encoding/json on
 * etcd's structs. */
#include "cli/json_message.h"
#include "cli/print.h"

static void put_message(const struct print_what *w, const ProtobufCMessage *m)
{
    struct json_out j = json_out_of(w->out);

    json_message(&j, NULL, m);
    buf_add_char(w->out, '\n');
}

#define JSON_PLAIN(fn, type)                                                  \
    static void fn(const struct print_what *w, const Etcdserverpb__##type *r) \
    {                                                                         \
        put_message(w, &r->base);                                             \
    }

JSON_PLAIN(json_put, PutResponse)
JSON_PLAIN(json_get, RangeResponse)
JSON_PLAIN(json_del, DeleteRangeResponse)
JSON_PLAIN(json_txn, TxnResponse)
JSON_PLAIN(json_revoke, LeaseRevokeResponse)
JSON_PLAIN(json_alarm, AlarmResponse)
JSON_PLAIN(json_move_leader, MoveLeaderResponse)
JSON_PLAIN(json_downgrade, DowngradeResponse)
JSON_PLAIN(json_role_get, AuthRoleGetResponse)
JSON_PLAIN(json_role_list, AuthRoleListResponse)
JSON_PLAIN(json_user_get, AuthUserGetResponse)
JSON_PLAIN(json_user_list, AuthUserListResponse)
JSON_PLAIN(json_auth_status, AuthStatusResponse)

static void json_done(const struct print_what *w, const struct print_done *d)
{
    put_message(w, d->answer);
}

static void json_watch(const struct print_what *w, const struct print_watch *r)
{
    static const Etcdserverpb__ResponseHeader no_header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    struct json_out j = json_out_of(w->out);

    json_begin(&j, NULL, '{');
    json_message(&j, "Header", r->header != NULL ? &r->header->base : &no_header.base);
    if (r->event_count == 0) {
        json_null(&j, "Events");
    } else {
        json_begin(&j, "Events", '[');
        for (size_t i = 0; i < r->event_count; i++)
            json_message(&j, NULL, &r->events[i]->base);
        json_end(&j, ']');
    }
    json_int(&j, "CompactRevision", r->compact_revision, JSON_ALWAYS);
    json_bool(&j, "Canceled", r->canceled, JSON_ALWAYS);
    json_bool(&j, "Created", false, JSON_ALWAYS);
    json_string(&j, "CancelReason", "", JSON_ALWAYS);
    json_end(&j, '}');
    buf_add_char(w->out, '\n');
}

/* ---- leases: the header's members stand beside the others ---- */

static void begin_flat(struct json_out *j, const Etcdserverpb__ResponseHeader *h)
{
    json_begin(j, NULL, '{');
    if (h != NULL)
        json_members(j, &h->base);
}

static void end_flat(struct json_out *j)
{
    json_end(j, '}');
    buf_add_char(j->out, '\n');
}

static void json_grant(const struct print_what *w, const Etcdserverpb__LeaseGrantResponse *r)
{
    struct json_out j = json_out_of(w->out);

    begin_flat(&j, r->header);
    json_int(&j, "ID", r->id, JSON_ALWAYS);
    json_int(&j, "TTL", r->ttl, JSON_ALWAYS);
    json_string(&j, "Error", r->error, JSON_ALWAYS);
    end_flat(&j);
}

static void json_keep_alive(const struct print_what *w,
                            const Etcdserverpb__LeaseKeepAliveResponse *r)
{
    struct json_out j = json_out_of(w->out);

    begin_flat(&j, r->header);
    json_int(&j, "ID", r->id, JSON_ALWAYS);
    json_int(&j, "TTL", r->ttl, JSON_ALWAYS);
    end_flat(&j);
}

static void json_time_to_live(const struct print_what *w,
                              const Etcdserverpb__LeaseTimeToLiveResponse *r)
{
    struct json_out j = json_out_of(w->out);

    begin_flat(&j, r->header);
    json_int(&j, "id", r->id, JSON_ALWAYS);
    json_int(&j, "ttl", r->ttl, JSON_ALWAYS);
    json_int(&j, "granted-ttl", r->grantedttl, JSON_ALWAYS);
    if (r->n_keys == 0) {
        json_null(&j, "keys");
    } else {
        json_begin(&j, "keys", '[');
        for (size_t i = 0; i < r->n_keys; i++)
            json_bytes(&j, NULL, bytes_of(r->keys[i].data, r->keys[i].len), JSON_ALWAYS);
        json_end(&j, ']');
    }
    end_flat(&j);
}

static void json_leases(const struct print_what *w, const Etcdserverpb__LeaseLeasesResponse *r)
{
    struct json_out j = json_out_of(w->out);

    begin_flat(&j, r->header);
    json_begin(&j, "leases", '[');
    for (size_t i = 0; i < r->n_leases; i++) {
        json_begin(&j, NULL, '{');
        json_int(&j, "id", r->leases[i]->id, JSON_ALWAYS);
        json_end(&j, '}');
    }
    json_end(&j, ']');
    end_flat(&j);
}

/* ---- members: with --hex the identifiers are strings ---- */

static void put_hex_header(struct json_out *j, const Etcdserverpb__ResponseHeader *h)
{
    static const Etcdserverpb__ResponseHeader no_header = ETCDSERVERPB__RESPONSE_HEADER__INIT;

    h = h != NULL ? h : &no_header;
    json_begin(j, "header", '{');
    json_hex(j, "cluster_id", h->cluster_id, JSON_ALWAYS);
    json_hex(j, "member_id", h->member_id, JSON_ALWAYS);
    json_int(j, "revision", h->revision, JSON_OMIT_EMPTY);
    json_uint(j, "raft_term", h->raft_term, JSON_OMIT_EMPTY);
    json_end(j, '}');
}

static void put_strings(struct json_out *j, const char *name, char *const *list, size_t n)
{
    if (n == 0)
        return;
    json_begin(j, name, '[');
    for (size_t i = 0; i < n; i++)
        json_string(j, NULL, list[i], JSON_ALWAYS);
    json_end(j, ']');
}

static void put_hex_member(struct json_out *j, const char *name, const Etcdserverpb__Member *m)
{
    json_begin(j, name, '{');
    json_hex(j, "ID", m->id, JSON_ALWAYS);
    json_string(j, "name", m->name, JSON_OMIT_EMPTY);
    put_strings(j, "peerURLs", m->peerurls, m->n_peerurls);
    put_strings(j, "clientURLs", m->clienturls, m->n_clienturls);
    json_bool(j, "isLearner", m->islearner, JSON_OMIT_EMPTY);
    json_end(j, '}');
}

static void put_members(const struct print_what *w, const Etcdserverpb__ResponseHeader *h,
                        const Etcdserverpb__Member *added, Etcdserverpb__Member *const *members,
                        size_t n, const ProtobufCMessage *whole)
{
    struct json_out j = json_out_of(w->out);

    if (!w->how->hex) {
        put_message(w, whole);
        return;
    }
    json_begin(&j, NULL, '{');
    put_hex_header(&j, h);
    if (added != NULL)
        put_hex_member(&j, "member", added);
    if (n > 0) {
        json_begin(&j, "members", '[');
        for (size_t i = 0; i < n; i++)
            put_hex_member(&j, NULL, members[i]);
        json_end(&j, ']');
    }
    json_end(&j, '}');
    buf_add_char(w->out, '\n');
}

static void json_member_add(const struct print_what *w, const Etcdserverpb__MemberAddResponse *r)
{
    put_members(w, r->header, r->member, r->members, r->n_members, &r->base);
}

#define JSON_MEMBERS(fn, type)                                                \
    static void fn(const struct print_what *w, const Etcdserverpb__##type *r) \
    {                                                                         \
        put_members(w, r->header, NULL, r->members, r->n_members, &r->base);  \
    }

JSON_MEMBERS(json_member_list, MemberListResponse)
JSON_MEMBERS(json_member_remove, MemberRemoveResponse)
JSON_MEMBERS(json_member_update, MemberUpdateResponse)
JSON_MEMBERS(json_member_promote, MemberPromoteResponse)

/* ---- endpoints: one array, null when none answered ---- */

static void begin_list(struct json_out *j, size_t n)
{
    if (n > 0)
        json_begin(j, NULL, '[');
    else
        json_null(j, NULL);
}

static void end_list(struct json_out *j, size_t n)
{
    if (n > 0)
        json_end(j, ']');
    buf_add_char(j->out, '\n');
}

static void json_health(const struct print_what *w, const struct print_health *list, size_t n)
{
    struct json_out j = json_out_of(w->out);

    begin_list(&j, n);
    for (size_t i = 0; i < n; i++) {
        json_begin(&j, NULL, '{');
        json_string(&j, "endpoint", list[i].endpoint, JSON_ALWAYS);
        json_bool(&j, "health", list[i].health, JSON_ALWAYS);
        json_string(&j, "took", list[i].took, JSON_ALWAYS);
        json_string(&j, "error", list[i].error, JSON_OMIT_EMPTY);
        json_end(&j, '}');
    }
    end_list(&j, n);
}

static void put_endpoint(struct json_out *j, const char *endpoint, const char *name,
                         const ProtobufCMessage *m)
{
    json_begin(j, NULL, '{');
    json_string(j, "Endpoint", endpoint, JSON_ALWAYS);
    json_message(j, name, m);
    json_end(j, '}');
}

static void json_status(const struct print_what *w, const struct print_status *list, size_t n)
{
    struct json_out j = json_out_of(w->out);

    begin_list(&j, n);
    for (size_t i = 0; i < n; i++)
        put_endpoint(&j, list[i].endpoint, "Status", &list[i].status->base);
    end_list(&j, n);
}

static void json_hash_kv(const struct print_what *w, const struct print_hash_kv *list, size_t n)
{
    struct json_out j = json_out_of(w->out);

    begin_list(&j, n);
    for (size_t i = 0; i < n; i++)
        put_endpoint(&j, list[i].endpoint, "HashKV", &list[i].hash->base);
    end_list(&j, n);
}

const struct printer printer_json = {
    .name = "json",
    .put = json_put,
    .get = json_get,
    .del = json_del,
    .txn = json_txn,
    .watch = json_watch,
    .grant = json_grant,
    .revoke = json_revoke,
    .keep_alive = json_keep_alive,
    .time_to_live = json_time_to_live,
    .leases = json_leases,
    .member_list = json_member_list,
    .member_add = json_member_add,
    .member_remove = json_member_remove,
    .member_update = json_member_update,
    .member_promote = json_member_promote,
    .health = json_health,
    .status = json_status,
    .hash_kv = json_hash_kv,
    .alarm = json_alarm,
    .move_leader = json_move_leader,
    .downgrade = json_downgrade,
    .done = json_done,
    .role_get = json_role_get,
    .role_list = json_role_list,
    .user_get = json_user_get,
    .user_list = json_user_list,
    .auth_status = json_auth_status,
};
