/* restore.h -- a data directory made of a snapshot file.
 *
 * Everything is made under names that no server looks at (DATA/member.tmp, and WALDIR.tmp where the
 * log is to lie elsewhere), synced, and renamed when it is whole.  So a restore that fails or is
 * killed leaves no directory that a server would take for a member; one that failed also takes away
 * what it made, one that was killed leaves names that the next one removes.
 */
#ifndef KETCH_CMD_ETCDUTL_RESTORE_H
#define KETCH_CMD_ETCDUTL_RESTORE_H

#include "base/err.h"
#include "etcdutl/initial.h"
#include "etcdutl/tree.h"

struct restore_config {
    struct disk *disk;
    const char *snapshot;
    const char *data_dir;
    const char *wal_dir; /* where the log is to lie at last */
    const struct initial *initial;
    bool skip_hash_check;
    uint64_t map_bytes;     /* --initial-memory-map-size */
    uint64_t bump;          /* revisions; 0: none, and nothing is marked as compacted */
    uint64_t segment_bytes; /* of the log; 0: etcd's */
};

/* Neither directory may hold anything.  ERR_EXISTS with etcd's words. */
NODISCARD int restore_check_dirs(const struct restore_config *c, struct err *e);

/* All of it.  After an error nothing is left of what it made. */
NODISCARD int restore_run(const struct restore_config *c, struct err *e);

/* ---- the parts ---- */

/* restore_copy.c: the database without its hash, verified and synced.  ERR_CORRUPT with etcd's
 * words. */
NODISCARD int restore_copy(const struct restore_config *c, const char *db_path, struct err *e);

/* restore_db.c: the members of old go, the new ones come, as if `initial->n` entries had been
 * applied. Proves the file's structure on the way. */
NODISCARD int restore_adapt(const struct restore_config *c, const char *db_path, struct err *e);

/* restore_log.c: the log that says so, and the .snap file beside it. */
NODISCARD int restore_log(const struct restore_config *c, const char *wal_dir, const char *snap_dir,
                          struct err *e);

#endif
