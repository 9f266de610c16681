/* print_protobuf.c -- the messages themselves: -w protobuf.  Nothing stands before or behind them.
 */
#include "base/alloc.h"
#include "cli/print.h"
#include "wire/wire.h"

static void put_message(const struct print_what *w, const ProtobufCMessage *m)
{
    wire_encode(m, w->out);
}

#define PROTOBUF_PLAIN(fn, type)                                              \
    static void fn(const struct print_what *w, const Etcdserverpb__##type *r) \
    {                                                                         \
        put_message(w, &r->base);                                             \
    }

PROTOBUF_PLAIN(protobuf_put, PutResponse)
PROTOBUF_PLAIN(protobuf_get, RangeResponse)
PROTOBUF_PLAIN(protobuf_del, DeleteRangeResponse)
PROTOBUF_PLAIN(protobuf_txn, TxnResponse)
PROTOBUF_PLAIN(protobuf_member_list, MemberListResponse)
PROTOBUF_PLAIN(protobuf_member_add, MemberAddResponse)
PROTOBUF_PLAIN(protobuf_member_remove, MemberRemoveResponse)
PROTOBUF_PLAIN(protobuf_member_update, MemberUpdateResponse)
PROTOBUF_PLAIN(protobuf_member_promote, MemberPromoteResponse)
PROTOBUF_PLAIN(protobuf_alarm, AlarmResponse)
PROTOBUF_PLAIN(protobuf_move_leader, MoveLeaderResponse)
PROTOBUF_PLAIN(protobuf_downgrade, DowngradeResponse)
PROTOBUF_PLAIN(protobuf_role_get, AuthRoleGetResponse)
PROTOBUF_PLAIN(protobuf_role_list, AuthRoleListResponse)
PROTOBUF_PLAIN(protobuf_user_get, AuthUserGetResponse)
PROTOBUF_PLAIN(protobuf_user_list, AuthUserListResponse)
PROTOBUF_PLAIN(protobuf_auth_status, AuthStatusResponse)

static void protobuf_done(const struct print_what *w, const struct print_done *d)
{
    put_message(w, d->answer);
}

/* etcd's client keeps of these answers a struct of its own, of which only the header is a message.
 */
#define PROTOBUF_HEADER(fn, type)                                             \
    static void fn(const struct print_what *w, const Etcdserverpb__##type *r) \
    {                                                                         \
        if (r->header != NULL)                                                \
            put_message(w, &r->header->base);                                 \
    }

PROTOBUF_HEADER(protobuf_grant, LeaseGrantResponse)
PROTOBUF_HEADER(protobuf_keep_alive, LeaseKeepAliveResponse)
PROTOBUF_HEADER(protobuf_time_to_live, LeaseTimeToLiveResponse)
PROTOBUF_HEADER(protobuf_leases, LeaseLeasesResponse)

/* Copies the struct, borrows what it points to. */
static void protobuf_watch(const struct print_what *w, const struct print_watch *r)
{
    Etcdserverpb__WatchResponse m;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Mvccpb__Event **events = NULL;

    etcdserverpb__watch_response__init(&m);
    if (r->header != NULL)
        header = *r->header;
    if (r->event_count > 0) {
        events = xmem_alloc(r->event_count * sizeof(*events));
        memcpy(events, r->events, r->event_count * sizeof(*events));
    }
    m.header = &header;
    m.canceled = r->canceled;
    m.compact_revision = r->compact_revision;
    m.n_events = r->event_count;
    m.events = events;
    put_message(w, &m.base);
    mem_free(events);
}

const struct printer printer_protobuf = {
    .name = "protobuf",
    .put = protobuf_put,
    .get = protobuf_get,
    .del = protobuf_del,
    .txn = protobuf_txn,
    .watch = protobuf_watch,
    .grant = protobuf_grant,
    .keep_alive = protobuf_keep_alive,
    .time_to_live = protobuf_time_to_live,
    .leases = protobuf_leases,
    .member_list = protobuf_member_list,
    .member_add = protobuf_member_add,
    .member_remove = protobuf_member_remove,
    .member_update = protobuf_member_update,
    .member_promote = protobuf_member_promote,
    .alarm = protobuf_alarm,
    .move_leader = protobuf_move_leader,
    .downgrade = protobuf_downgrade,
    .done = protobuf_done,
    .role_get = protobuf_role_get,
    .role_list = protobuf_role_list,
    .user_get = protobuf_user_get,
    .user_list = protobuf_user_list,
    .auth_status = protobuf_auth_status,
};
