/* dump.h -- what the files of etcd-dump-logs share. */
#ifndef KETCH_CMD_ETCD_DUMP_LOGS_DUMP_H
#define KETCH_CMD_ETCD_DUMP_LOGS_DUMP_H

#include "base/buf.h"
#include "base/err.h"
#include "wire/raftpb.h"

/* Output is collected up to this much, then written. */
#define DUMP_OUT_BYTES (64 << 10)
/* One line may be long: the data of an entry in octal. */
#define DUMP_LINE_BYTES_MAX (SIZE_MAX / 2)
#define DUMP_PATH_BYTES 4096

struct dump_options {
    const char *start_snap; /* "": the newest */
    const char *entry_types;
    const char *decoder; /* "": none */
    uint64_t start_index;
    uint64_t end_index;
    bool from_index; /* -start-index was given */
    char wal_dir[DUMP_PATH_BYTES];
    char snap_dir[DUMP_PATH_BYTES];
};

#define DUMP_TYPES_DEFAULT "Normal,ConfigChange"

/* Writes what has gathered when it is much. */
void dump_flush(struct buf *out, bool all);

/* ---- snapshot.c ---- */

struct dump_start {
    raft_index index; /* entries behind it are shown */
    raft_term term;
};

/* The snapshot to begin behind; prints it.  False, after words on stderr: it cannot be read. */
bool dump_snapshot(const struct dump_options *o, struct dump_start *ret, struct buf *out);

/* ---- entries.c: the table of entries ---- */

NODISCARD int dump_entries(const struct dump_options *o, const struct dump_start *start,
                           struct buf *out);

/* ---- raw.c: every record ---- */

NODISCARD int dump_raw(const struct dump_options *o, struct buf *out);

/* ---- entry.c: one entry ---- */

#define DUMP_FILTERS_MAX 64

struct dump_filters {
    unsigned v[DUMP_FILTERS_MAX];
    size_t n;
};

/* Names that are none are said on stderr and passed over. */
void dump_filters_read(const char *list, struct dump_filters *ret);

/* Appends "TERM\tINDEX\tTYPE\tTEXT"; false: no filter lets it through. */
bool dump_entry(const struct dump_filters *f, const struct raft_entry *en, struct buf *out);

/* ---- decoder.c: a program that is asked about each entry ---- */

struct decoder;

/* `command` is split at blanks.  ERR_... with Go's words. */
NODISCARD int decoder_start(const char *command, struct decoder **ret, struct err *e);
/* Appends "\tSTATUS\tDATA", the line's end included if the program sent one.  ERR_TRUNCATED: it
 * answers no more. */
NODISCARD int decoder_ask(struct decoder *d, struct bytes data, struct buf *out, struct err *e);
/* Waits for its end; what it wrote to stderr follows on ours.  Frees d. */
NODISCARD int decoder_end(struct decoder *d, struct err *e);
void decoder_free(struct decoder *d); /* kills it; NULL is accepted */

#endif
