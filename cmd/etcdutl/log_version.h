/* log_version.h -- which release a log needs, to be asked before a data directory is given to an
 * older one. */
#ifndef KETCH_CMD_ETCDUTL_LOG_VERSION_H
#define KETCH_CMD_ETCDUTL_LOG_VERSION_H

#include "base/err.h"
#include "state/cluster/cluster.h"
#include "sys/disk.h"

/* Of the entries behind the newest snapshot: the newest release that one of them needs, as far as
 * it is above 3.5; 0: none.  Reads the log as it goes by; 4 bytes are kept for each entry, for a
 * later leader may have replaced it.
 *
 * ERR_NOT_FOUND, ... with etcd's words "failed to get the lastest snapshot: ..." and the like. */
NODISCARD int log_version_read(struct disk *d, const char *wal_dir, cluster_version *ret,
                               struct err *e);

#endif
