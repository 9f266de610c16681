/* entry.c -- which entries are shown, and one entry as a line. */
#include "cli/command.h"
#include "etcd-dump-logs/dump.h"
#include "raft_internal.pb-c.h"
#include "wire/request_text.h"
#include "wire/wire.h"

#define REMOVED "<value removed>"
/* A message in memory may be many times as large as its bytes; an entry is at most 1 GiB. */
#define MESSAGE_BYTES_MAX (SIZE_MAX / 2)

/* ---- kinds of entries ---- */

typedef bool (*kind_fn)(const Etcdserverpb__InternalRaftRequest *r);

#define KIND(name, field)                                             \
    static bool is_##name(const Etcdserverpb__InternalRaftRequest *r) \
    {                                                                 \
        return r->field != NULL;                                      \
    }
KIND(range, range)
KIND(put, put)
KIND(delete_range, delete_range)
KIND(txn, txn)
KIND(compaction, compaction)
KIND(lease_grant, lease_grant)
KIND(lease_revoke, lease_revoke)
KIND(lease_checkpoint, lease_checkpoint)
#undef KIND

/* What a filter lets through: a change of membership, requests that can be read, others. */
enum { CONF = 1, READABLE = 2, UNREADABLE = 4 };

static const struct {
    const char *name;
    unsigned what;
    kind_fn kind; /* of a readable request; NULL: any */
} types[] = {
    {"ConfigChange", CONF, NULL},
    {"Normal", READABLE | UNREADABLE, NULL},
    {"Request", UNREADABLE, NULL},
    {"InternalRaftRequest", READABLE, NULL},
    {"IRRRange", READABLE, is_range},
    {"IRRPut", READABLE, is_put},
    {"IRRDeleteRange", READABLE, is_delete_range},
    {"IRRTxn", READABLE, is_txn},
    {"IRRCompaction", READABLE, is_compaction},
    {"IRRLeaseGrant", READABLE, is_lease_grant},
    {"IRRLeaseRevoke", READABLE, is_lease_revoke},
    {"IRRLeaseCheckpoint", READABLE, is_lease_checkpoint},
};

static void add_filter(struct bytes name, struct dump_filters *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (!bytes_eq(bytes_str(types[i].name), name))
            continue;
        if (ret->n < DUMP_FILTERS_MAX) /* more than there are types say nothing new */
            ret->v[ret->n++] = (unsigned) i;
        return;
    }
    (void) !cli_log_fatal("[%.*s] is not a valid entry-type, ignored.\n"
                          "Please set entry-type to one or more of the following:\n"
                          "ConfigChange, Normal, Request, InternalRaftRequest,\n"
                          "IRRRange, IRRPut, IRRDeleteRange, IRRTxn,\n"
                          "IRRCompaction, IRRLeaseGrant, IRRLeaseRevoke, IRRLeaseCheckpoint",
                          (int) name.n, (const char *) name.p);
}

void dump_filters_read(const char *list, struct dump_filters *ret)
{
    ret->n = 0;
    while (*list != 0) {
        size_t n = strcspn(list, ",");

        add_filter(bytes_of(list, n), ret);
        list += n;
        if (*list == ',' && *++list == 0)
            add_filter(BYTES_EMPTY, ret); /* as Go splits */
    }
}

static bool passes(const struct dump_filters *f, unsigned what,
                   const Etcdserverpb__InternalRaftRequest *r)
{
    for (size_t i = 0; i < f->n; i++) {
        if ((types[f->v[i]].what & what) == 0)
            continue;
        if (types[f->v[i]].kind == NULL || types[f->v[i]].kind(r))
            return true;
    }
    return false;
}

/* ---- a line ---- */

static void put_head(struct buf *out, const struct raft_entry *en, const char *type)
{
    buf_printf(out, "%4" PRIu64 "\t%10" PRIu64 "\t%s\t", en->term, en->index, type);
}

static bool put_conf_change(const struct dump_filters *f, const struct raft_entry *en,
                            struct buf *out)
{
    static const char *const names[] = {
        [RAFT_CONF_ADD_NODE] = "ConfChangeAddNode",
        [RAFT_CONF_REMOVE_NODE] = "ConfChangeRemoveNode",
        [RAFT_CONF_UPDATE_NODE] = "ConfChangeUpdateNode",
        [RAFT_CONF_ADD_LEARNER_NODE] = "ConfChangeAddLearnerNode",
    };
    struct raft_conf_change cc;

    if (!passes(f, CONF, NULL))
        return false;
    put_head(out, en, "conf");
    if (raft_conf_change_get(en->data, &cc, NULL) != 0)
        buf_add_str(out, "???");
    else if ((size_t) cc.type < ARRAY_LEN(names))
        buf_printf(out, "method=%s id=%" PRIx64, names[cc.type], cc.node_id);
    else
        buf_printf(out, "method=%d id=%" PRIx64, (int) cc.type, cc.node_id);
    return true;
}

/* The header is declared first, though its number is the highest. */
static void put_request(struct buf *out, const Etcdserverpb__InternalRaftRequest *r)
{
    Etcdserverpb__InternalRaftRequest rest = *r;
    static const Etcdserverpb__InternalRaftRequest empty =
        ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    static char removed[] = REMOVED;

    rest.header = NULL;
    if (r->header != NULL) {
        buf_add_str(out, "header:{");
        message_text(out, &r->header->base);
        buf_add_char(out, '}');
        if (memcmp(&rest, &empty, sizeof rest) != 0)
            buf_add_str(out, "  ");
    }
    if (r->auth_user_change_password != NULL && *r->auth_user_change_password->password != 0)
        r->auth_user_change_password->password = removed;
    message_text(out, &rest.base);
}

static bool put_normal(const struct dump_filters *f, const struct raft_entry *en, struct buf *out)
{
    Etcdserverpb__InternalRaftRequest *r = NULL;
    struct arena a;
    bool shown;

    arena_init(&a, MESSAGE_BYTES_MAX);
    if (WIRE_DECODE(etcdserverpb__internal_raft_request, en->data, &a, &r, NULL) != 0)
        r = NULL;
    shown = passes(f, r == NULL ? UNREADABLE : READABLE, r);
    if (shown) {
        put_head(out, en, "norm");
        if (r == NULL)
            buf_add_str(out, "???");
        else
            put_request(out, r);
    }
    arena_done(&a);
    return shown;
}

bool dump_entry(const struct dump_filters *f, const struct raft_entry *en, struct buf *out)
{
    if (en->type == RAFT_ENTRY_CONF_CHANGE)
        return put_conf_change(f, en, out);
    return en->type == RAFT_ENTRY_NORMAL && put_normal(f, en, out);
}
