/* raw.c -- every record of every segment, as it lies there. */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <dirent.h>
#include <errno.h>

#include "cli/command.h"
#include "engine/wal/wal.h"
#include "etcd-dump-logs/dump.h"

#define SUFFIX ".wal"
#define MARKER_BYTES_MAX ((size_t) 1 << 20)

struct raw {
    const struct dump_options *o;
    struct buf *out;
    bool wrong; /* in a run of wrong checksums, which has been said */
};

/* Without -start-index nothing is hidden. */
static bool hidden(const struct raw *r, raft_index index)
{
    return index < r->o->start_index;
}

static int broken(const char *what, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "%s cannot be read", what);
}

/* Entry data: what is not printable in three octal digits, newline, return and tab by name. */
static void put_octal(struct buf *out, struct bytes s)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];

        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c >= 0x20 && c < 0x7f)
            buf_add_char(out, (char) c);
        else if (c == '\n' || c == '\r' || c == '\t')
            buf_printf(out, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else
            buf_printf(out, "\\%03o", c);
    }
}

static int put_entry(struct raw *r, struct bytes data, struct err *e)
{
    static const char *const types[] = {
        [RAFT_ENTRY_NORMAL] = "",
        [RAFT_ENTRY_CONF_CHANGE] = " Type:EntryConfChange",
        [RAFT_ENTRY_CONF_CHANGE_V2] = " Type:EntryConfChangeV2",
    };
    struct raft_entry en;

    if (raft_entry_get(data, &en, NULL) != 0)
        return broken("an entry", e);
    if (hidden(r, en.index))
        return 0;
    buf_printf(r->out, "Entry: Term:%" PRIu64 " Index:%" PRIu64, en.term, en.index);
    if ((size_t) en.type < ARRAY_LEN(types))
        buf_add_str(r->out, types[en.type]);
    else
        buf_printf(r->out, " Type:%d", (int) en.type);
    if (en.data.n > 0) {
        buf_add_str(r->out, " Data:\"");
        put_octal(r->out, en.data);
        buf_add_str(r->out, "\" ");
    }
    buf_add_char(r->out, '\n');
    return 0;
}

static int put_snapshot(struct raw *r, struct bytes data, struct err *e)
{
    struct wal_snapshot s;
    struct arena a;
    int rc;

    arena_init(&a, MARKER_BYTES_MAX);
    rc = wal_snapshot_get(data, &a, &s, NULL);
    arena_done(&a);
    if (rc != 0)
        return broken("a snapshot record", e);
    if (!hidden(r, s.index))
        buf_printf(r->out, "Snapshot: index:%" PRIu64 " term:%" PRIu64 "\n", s.index, s.term);
    return 0;
}

static int put_state(struct raw *r, struct bytes data, struct err *e)
{
    struct raft_hard_state s;

    if (raft_hard_state_get(data, &s, NULL) != 0)
        return broken("a hard state", e);
    if (!hidden(r, s.commit))
        buf_printf(r->out, "HardState: term:%" PRIu64 " vote:%" PRIu64 " commit:%" PRIu64 "\n",
                   s.term, s.vote, s.commit);
    return 0;
}

static int put_metadata(struct raw *r, struct bytes data, struct err *e)
{
    struct wal_metadata m;

    if (wal_metadata_get(data, &m, NULL) != 0)
        return broken("the metadata", e);
    buf_printf(r->out, "Metadata: NodeID:%" PRIu64 " ClusterID:%" PRIu64 "\n", m.node_id,
               m.cluster_id);
    return 0;
}

static int put_record(struct raw *r, const struct wal_record *rec, struct err *e)
{
    switch (rec->type) {
    case WAL_RECORD_METADATA:
        return put_metadata(r, rec->data, e);
    case WAL_RECORD_ENTRY:
        return put_entry(r, rec->data, e);
    case WAL_RECORD_STATE:
        return put_state(r, rec->data, e);
    case WAL_RECORD_SNAPSHOT:
        return put_snapshot(r, rec->data, e);
    case WAL_RECORD_CRC:
        buf_printf(r->out, "CRC: %" PRIu32 "\n", rec->crc);
        return 0;
    default:
        (void) !cli_log_fatal("Unexpected WAL log type: %d", (int) rec->type);
        return 0;
    }
}

static int show(void *arg, const struct wal_record *rec, struct err *e)
{
    struct raw *r = arg;
    int rc;

    if (rec->crc_differs && !r->wrong)
        (void) !cli_log_fatal("Error: Reading entry failed with CRC error: segment %s, offset "
                              "%" PRIu64,
                              rec->segment, rec->offset);
    r->wrong = rec->crc_differs || (r->wrong && rec->type != WAL_RECORD_CRC);
    rc = put_record(r, rec, e);
    dump_flush(r->out, false);
    return rc;
}

/* What else lies there is said. */
static bool look_at_names(const char *dir)
{
    DIR *d = opendir(dir);
    char **names, why[128];
    size_t n;

    if (d == NULL) {
        if (strerror_r(errno, why, sizeof why) != 0)
            snprintf(why, sizeof why, "unknown error");
        (void) !cli_log_fatal("Error: Failed to read directory '%s' error:open %s: %c%s", dir, dir,
                              tolower((unsigned char) why[0]), why + 1);
        return false;
    }
    closedir(d);
    if (disk_list(disk_posix(), dir, &names, &n, NULL) != 0)
        return true;
    for (size_t i = 0; i < n; i++) {
        const char *dot = strrchr(names[i], '.');

        if (dot == NULL || strcmp(dot, SUFFIX) != 0)
            (void) !cli_log_fatal("Warning: Ignoring not .wal file: %s", names[i]);
    }
    disk_list_free(names, n);
    return true;
}

int dump_raw(const struct dump_options *o, struct buf *out)
{
    struct raw r = {.o = o, .out = out};
    struct err e = ERR_INIT;
    bool torn = false;
    int rc = 0;

    if (!look_at_names(o->wal_dir))
        return 1;
    if (wal_exists(disk_posix(), o->wal_dir))
        rc = wal_visit_raw(disk_posix(), o->wal_dir, show, &r, &torn, &e);
    if (rc != 0)
        (void) !cli_log_fatal("Error: Reading failed: %s", e.msg);
    else if (torn)
        buf_add_str(out, "ErrUnexpectedEOF: The last record might be corrupted, error: unexpected "
                         "EOF.\n");
    else
        buf_add_str(out, "EOF: All entries were processed.\n");
    return 0;
}
