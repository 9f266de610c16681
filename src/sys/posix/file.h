/* file.h -- opens files of the machine, and syncs directories, for disk.c.  Private to posix. */
#ifndef KETCH_SYS_POSIX_FILE_H
#define KETCH_SYS_POSIX_FILE_H

#include "sys/disk.h"

/* As disk_open (sys/disk.h).  The path is copied: errors name it. */
NODISCARD int posix_file_open(const char *path, unsigned flags, unsigned mode, struct file **ret,
                              struct err *e);

/* As disk_sync_dir. */
NODISCARD int posix_dir_sync(const char *path, struct err *e);

#endif
