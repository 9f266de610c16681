/* print_cells.c -- the texts that simple lines and tables share. */
#include "cli/print.h"
#include "cli/text.h"

static void end_cell(struct buf *cells)
{
    buf_add_char(cells, 0);
}

static void text_cell(struct buf *cells, const char *s)
{
    buf_add_str(cells, s);
    end_cell(cells);
}

static void bool_cell(struct buf *cells, bool b)
{
    text_cell(cells, b ? "true" : "false");
}

static void uint_cell(struct buf *cells, uint64_t v)
{
    buf_printf(cells, "%" PRIu64, v);
    end_cell(cells);
}

static void size_cell(struct buf *cells, int64_t v)
{
    text_human_bytes(cells, (uint64_t) MAX(v, 0));
    end_cell(cells);
}

static void list_cell(struct buf *cells, char *const *list, size_t n, const char *between)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(cells, "%s%s", i == 0 ? "" : between, list[i]);
    end_cell(cells);
}

void print_member_cells(struct buf *cells, const Etcdserverpb__Member *m)
{
    buf_printf(cells, "%" PRIx64, m->id);
    end_cell(cells);
    text_cell(cells, m->name[0] == 0 ? "unstarted" : "started");
    text_cell(cells, m->name);
    list_cell(cells, m->peerurls, m->n_peerurls, ",");
    list_cell(cells, m->clienturls, m->n_clienturls, ",");
    bool_cell(cells, m->islearner);
}

void print_status_cells(struct buf *cells, const struct print_status *s)
{
    const Etcdserverpb__StatusResponse *r = s->status;
    const Etcdserverpb__DowngradeInfo *d = r->downgradeinfo;
    uint64_t id = r->header == NULL ? 0 : r->header->member_id;

    text_cell(cells, s->endpoint);
    buf_printf(cells, "%" PRIx64, id);
    end_cell(cells);
    text_cell(cells, r->version);
    text_cell(cells, r->storageversion);
    size_cell(cells, r->dbsize);
    size_cell(cells, r->dbsizeinuse);
    buf_printf(cells, "%" PRId64 "%%", r->dbsize <= 0 ? 0 : 100 - r->dbsizeinuse * 100 / r->dbsize);
    end_cell(cells);
    size_cell(cells, r->dbsizequota);
    bool_cell(cells, r->leader == id);
    bool_cell(cells, r->islearner);
    uint_cell(cells, r->raftterm);
    uint_cell(cells, r->raftindex);
    uint_cell(cells, r->raftappliedindex);
    list_cell(cells, r->errors, r->n_errors, ", ");
    text_cell(cells, d == NULL ? "" : d->targetversion);
    bool_cell(cells, d != NULL && d->enabled);
}

void print_hash_kv_cells(struct buf *cells, const struct print_hash_kv *h)
{
    text_cell(cells, h->endpoint);
    uint_cell(cells, h->hash->hash);
    buf_printf(cells, "%" PRId64, h->hash->hash_revision);
    end_cell(cells);
}

void print_health_cells(struct buf *cells, const struct print_health *h)
{
    text_cell(cells, h->endpoint);
    bool_cell(cells, h->health);
    text_cell(cells, h->took);
    text_cell(cells, h->error);
}

const Etcdserverpb__ResponseHeader *print_header_of(const ProtobufCMessage *answer)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(
        answer->descriptor, "header");

    if (f == NULL)
        return NULL;
    ASSERT(f->descriptor == &etcdserverpb__response_header__descriptor);
    return *(Etcdserverpb__ResponseHeader *const *) (const void *) ((const char *) answer +
                                                                    f->offset);
}

const char *print_permission_name(Authpb__Permission__Type t)
{
    switch (t) {
    case AUTHPB__PERMISSION__TYPE__READ:
        return "READ";
    case AUTHPB__PERMISSION__TYPE__WRITE:
        return "WRITE";
    case AUTHPB__PERMISSION__TYPE__READWRITE:
        return "READWRITE";
    default:
        return "UNKNOWN";
    }
}

void print_key_range(struct buf *out, struct bytes key, struct bytes end)
{
    buf_add_char(out, '[');
    buf_add_bytes(out, key);
    buf_add_str(out, ", ");
    if (bytes_eq(end, bytes_of("", 1))) {
        buf_add_str(out, "<open ended>");
        return;
    }
    buf_add_bytes(out, end);
    buf_add_char(out, ')');
}

const char *print_alarm_name(Etcdserverpb__AlarmType t)
{
    switch (t) {
    case ETCDSERVERPB__ALARM_TYPE__NONE:
        return "NONE";
    case ETCDSERVERPB__ALARM_TYPE__NOSPACE:
        return "NOSPACE";
    case ETCDSERVERPB__ALARM_TYPE__CORRUPT:
        return "CORRUPT";
    default:
        return "UNKNOWN";
    }
}

void print_alarm_text(struct buf *out, const Etcdserverpb__AlarmMember *m)
{
    if (m->memberid != 0)
        buf_printf(out, "memberID:%" PRIu64, m->memberid);
    if (m->alarm != ETCDSERVERPB__ALARM_TYPE__NONE)
        buf_printf(out, "%salarm:%s", m->memberid != 0 ? " " : "", print_alarm_name(m->alarm));
}

const struct printer *printer_find(const char *name)
{
    static const struct printer *const all[] = {&printer_simple, &printer_json, &printer_fields,
                                                &printer_table, &printer_protobuf};

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}
