/* snap_int.h -- what the files of this folder share. */
#ifndef KETCH_ENGINE_SNAP_SNAP_INT_H
#define KETCH_ENGINE_SNAP_SNAP_INT_H

#include "engine/snap/snap.h"

#define SNAP__NAME_BYTES 64
#define SNAP__FILE_MODE 0600
#define SNAP__HEX_DIGITS 16
#define SNAP__TMP_PREFIX "tmp"
#define SNAP__SUFFIX ".snap"
#define SNAP__DB_SUFFIX ".snap.db"

NODISCARD int snap__path(const char *dir, const char *name, char ret[SNAP_PATH_BYTES],
                         struct err *e);

/* "TERM-INDEX.snap" and "INDEX.snap.db", the numbers in 16 lower-case hex digits. */
bool snap__name_parse(const char *name, struct snap_position *ret);
bool snap__db_name_parse(const char *name, raft_index *ret);
void snap__name_format(struct snap_position x, char ret[SNAP__NAME_BYTES]);
void snap__db_name_format(raft_index index, char ret[SNAP__NAME_BYTES]);

#endif
