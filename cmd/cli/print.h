/* print.h -- etcdctl's answers in each output format.
 *
 * A printer is a table of pure functions from decoded messages to a buffer.  A function that is
 * NULL means that the format is "not supported as output format" for that kind of answer.
 *
 * Watch answers, endpoint lists and the flat lease answers are no protobuf messages of etcd: they
 * have structs of their own here.
 */
#ifndef KETCH_CMD_CLI_PRINT_H
#define KETCH_CMD_CLI_PRINT_H

#include <rpc.pb-c.h>

#include "base/buf.h"

struct print_watch {
    const Etcdserverpb__ResponseHeader *header; /* NULL: none came */
    Mvccpb__Event *const *events;
    size_t event_count;
    int64_t compact_revision;
    bool canceled;
};

struct print_health {
    const char *endpoint;
    bool health;
    const char *took;
    const char *error; /* "": healthy */
};

struct print_status {
    const char *endpoint;
    const Etcdserverpb__StatusResponse *status;
};

struct print_hash_kv {
    const char *endpoint;
    const Etcdserverpb__HashKVResponse *hash;
};

/* The answer to a change of users or roles: nothing but a header, which people get a line for. */
struct print_done {
    const char *line;
    const ProtobufCMessage *answer; /* has a field `header` */
};

struct printer;

/* What the answer is to look like. */
struct print_how {
    const struct printer *printer;
    bool hex;
    bool value_only; /* get --print-value-only */
    bool with_keys;  /* lease timetolive --keys */
};

/* What is printed, beside the message itself. */
struct print_what {
    struct buf *out;
    struct buf *errs; /* lines for stderr: unhealthy endpoints */
    const struct print_how *how;
    int64_t lease_id;        /* lease revoke */
    uint64_t member_id;      /* member remove, update, promote; move-leader: from */
    uint64_t target_id;      /* move-leader: to */
    const char *member_name; /* member add */
    const char *peer_urls;   /* member add: as given */
    const char *action;      /* downgrade: validate, enable or cancel */
    const char *name;        /* role get, user get: of which */
};

struct printer {
    const char *name;
    void (*put)(const struct print_what *w, const Etcdserverpb__PutResponse *r);
    void (*get)(const struct print_what *w, const Etcdserverpb__RangeResponse *r);
    void (*del)(const struct print_what *w, const Etcdserverpb__DeleteRangeResponse *r);
    void (*txn)(const struct print_what *w, const Etcdserverpb__TxnResponse *r);
    void (*watch)(const struct print_what *w, const struct print_watch *r);
    void (*grant)(const struct print_what *w, const Etcdserverpb__LeaseGrantResponse *r);
    void (*revoke)(const struct print_what *w, const Etcdserverpb__LeaseRevokeResponse *r);
    void (*keep_alive)(const struct print_what *w, const Etcdserverpb__LeaseKeepAliveResponse *r);
    void (*time_to_live)(const struct print_what *w,
                         const Etcdserverpb__LeaseTimeToLiveResponse *r);
    void (*leases)(const struct print_what *w, const Etcdserverpb__LeaseLeasesResponse *r);
    void (*member_list)(const struct print_what *w, const Etcdserverpb__MemberListResponse *r);
    void (*member_add)(const struct print_what *w, const Etcdserverpb__MemberAddResponse *r);
    void (*member_remove)(const struct print_what *w, const Etcdserverpb__MemberRemoveResponse *r);
    void (*member_update)(const struct print_what *w, const Etcdserverpb__MemberUpdateResponse *r);
    void (*member_promote)(const struct print_what *w,
                           const Etcdserverpb__MemberPromoteResponse *r);
    void (*health)(const struct print_what *w, const struct print_health *list, size_t n);
    void (*status)(const struct print_what *w, const struct print_status *list, size_t n);
    void (*hash_kv)(const struct print_what *w, const struct print_hash_kv *list, size_t n);
    void (*alarm)(const struct print_what *w, const Etcdserverpb__AlarmResponse *r);
    void (*downgrade)(const struct print_what *w, const Etcdserverpb__DowngradeResponse *r);
    void (*move_leader)(const struct print_what *w, const Etcdserverpb__MoveLeaderResponse *r);
    void (*done)(const struct print_what *w, const struct print_done *d);
    void (*role_get)(const struct print_what *w, const Etcdserverpb__AuthRoleGetResponse *r);
    void (*role_list)(const struct print_what *w, const Etcdserverpb__AuthRoleListResponse *r);
    void (*user_get)(const struct print_what *w, const Etcdserverpb__AuthUserGetResponse *r);
    void (*user_list)(const struct print_what *w, const Etcdserverpb__AuthUserListResponse *r);
    void (*auth_status)(const struct print_what *w, const Etcdserverpb__AuthStatusResponse *r);
};

extern const struct printer printer_simple;
extern const struct printer printer_json;
extern const struct printer printer_fields;
extern const struct printer printer_table;
extern const struct printer printer_protobuf;

/* By the value of --write-out; NULL: no such format. */
const struct printer *printer_find(const char *name);

/* ---- shared by printers ---- */

/* The columns of a row and of a table are the same texts: cells are written one behind the other,
 * each ended by a NUL. */
enum {
    PRINT_MEMBER_COLUMNS = 6,
    PRINT_STATUS_COLUMNS = 16,
    PRINT_HASH_KV_COLUMNS = 3,
    PRINT_HEALTH_COLUMNS = 4,
};

void print_member_cells(struct buf *cells, const Etcdserverpb__Member *m);
void print_status_cells(struct buf *cells, const struct print_status *s);
void print_hash_kv_cells(struct buf *cells, const struct print_hash_kv *h);
void print_health_cells(struct buf *cells, const struct print_health *h);

/* The field `header` of an answer; NULL: it has none. */
const Etcdserverpb__ResponseHeader *print_header_of(const ProtobufCMessage *answer);

/* READ, WRITE, READWRITE. */
const char *print_permission_name(Authpb__Permission__Type t);

/* "[key, end)", and "[key, <open ended>" for an end of one zero byte. */
void print_key_range(struct buf *out, struct bytes key, struct bytes end);

/* The text form of an alarm, as protobuf prints a message: "memberID:1 alarm:NOSPACE". */
void print_alarm_text(struct buf *out, const Etcdserverpb__AlarmMember *m);
const char *print_alarm_name(Etcdserverpb__AlarmType t);

#endif
