/* disk.h -- files and directories as an interface: the real ones, or the simulator's.
 *
 * Every call returns 0 or a code of base/err.h and words in *e (which may be NULL).  Paths are the
 * caller's, relative ones to the working directory.  Reads and writes name their offset; there is
 * no file position.
 *
 * Durability: bytes written are durable after file_sync; a name is durable after disk_sync_dir on
 * its directory.  After file_sync has failed nobody knows what the disk holds: the caller stops.
 *
 * Threads: a struct disk from any thread; a struct file from any thread, except file_close.
 * Memory: a struct file is owned by who opened it; file_close accepts NULL.  Paths are borrowed for
 * the call, outputs written on success only.
 */
#ifndef KETCH_SYS_DISK_H
#define KETCH_SYS_DISK_H

#include "base/base.h"
#include "base/err.h"

struct disk;
struct file;

enum disk_open_flags {
    DISK_READ = 1,
    DISK_WRITE = 2,
    DISK_CREATE = 4,    /* create when missing */
    DISK_EXCLUSIVE = 8, /* with DISK_CREATE: fail with ERR_EXISTS when present */
    DISK_TRUNCATE = 16,
    DISK_DIRECT = 32, /* bypass the page cache if the file system can; offsets, lengths and
                         addresses are then multiples of 4096 */
};

/* The kinds of lock that etcd's files carry (reference: bbolt uses flock, etcd's WAL uses OFD
 * locks), each on the whole file.  None of them waits: ERR_LOCKED when whoever opened the file
 * besides has it, another process or this one.  All end with file_close. */
enum file_lock_kind {
    FILE_LOCK_FLOCK_EXCLUSIVE,
    FILE_LOCK_FLOCK_SHARED,
    FILE_LOCK_OFD_EXCLUSIVE,
};

enum file_sync_kind {
    FILE_SYNC_DATA,  /* fdatasync: contents, and the length when it changed */
    FILE_SYNC_ALL,   /* fsync */
    FILE_WRITE_BACK, /* begin to write what is dirty, so that a later sync finds little to do;
                        promises nothing */
};

struct disk_stat {
    uint64_t bytes;
    bool is_dir;
    unsigned mode; /* permission bits */
};

struct disk_ops {
    int (*open)(struct disk *d, const char *path, unsigned flags, unsigned mode, struct file **ret,
                struct err *e);
    int (*rename)(struct disk *d, const char *from, const char *to, struct err *e);
    int (*remove)(struct disk *d, const char *path,
                  struct err *e); /* a file or an empty directory */
    int (*mkdir)(struct disk *d, const char *path, unsigned mode, struct err *e);
    int (*sync_dir)(struct disk *d, const char *path, struct err *e);
    int (*stat)(struct disk *d, const char *path, struct disk_stat *ret, struct err *e);
    int (*list)(struct disk *d, const char *path, char ***ret_names, size_t *ret_n, struct err *e);
    int (*space)(struct disk *d, const char *path, uint64_t *ret_free_bytes, struct err *e);
};

struct file_ops {
    int (*read)(struct file *f, void *p, size_t n, uint64_t off, size_t *ret_n, struct err *e);
    int (*write)(struct file *f, const struct bytes *v, size_t vn, uint64_t off, struct err *e);
    int (*write_durable)(struct file *f, const struct bytes *v, size_t vn, uint64_t off,
                         struct err *e);
    int (*sync)(struct file *f, enum file_sync_kind kind, struct err *e);
    int (*size)(struct file *f, uint64_t *ret, struct err *e);
    int (*truncate)(struct file *f, uint64_t bytes, struct err *e);
    int (*allocate)(struct file *f, uint64_t off, uint64_t n, struct err *e);
    int (*lock)(struct file *f, enum file_lock_kind kind, struct err *e);
    int (*unlock)(struct file *f, enum file_lock_kind kind, struct err *e);
    int (*map)(struct file *f, uint64_t reserve_bytes, const uint8_t **ret, struct err *e);
    void (*map_release)(struct file *f, uint64_t bytes);                          /* may be NULL */
    int (*map_lock)(struct file *f, uint64_t off, uint64_t bytes, struct err *e); /* may be NULL */
    void (*will_need)(struct file *f, uint64_t off, uint64_t bytes);              /* may be NULL */
    bool (*shed)(struct file *f, uint64_t bytes);                                 /* may be NULL */
    void (*close)(struct file *f);
};

struct disk {
    const struct disk_ops *ops;
};

struct file {
    const struct file_ops *ops;
};

struct disk *disk_posix(void); /* the machine's; nobody frees it */

/* `flags` are of enum disk_open_flags, `mode` the permission bits of a file that is created (less
 * the process's umask).  Of this and the functions below that have a path: ERR_NOT_FOUND,
 * ERR_EXISTS, ERR_PERMISSION, ERR_NO_SPACE, ERR_NOMEM, ERR_IO ...; the message names the path.
 * ERR_AGAIN: the process, or the system, has no descriptor left. */
NODISCARD int disk_open(struct disk *d, const char *path, unsigned flags, unsigned mode,
                        struct file **ret, struct err *e);
/* Takes the place of what is called `to`, in one step. */
NODISCARD int disk_rename(struct disk *d, const char *from, const char *to, struct err *e);
NODISCARD int disk_remove(struct disk *d, const char *path, struct err *e);
NODISCARD int disk_mkdir(struct disk *d, const char *path, unsigned mode, struct err *e);
/* ERR_AGAIN: no descriptor was free to open it, which only the first sync of a directory needs (of
 * the first directories that a process syncs); nothing has happened. */
NODISCARD int disk_sync_dir(struct disk *d, const char *path, struct err *e);
NODISCARD int disk_stat_path(struct disk *d, const char *path, struct disk_stat *ret,
                             struct err *e);
/* Names in byte order, without "." and "..", NULL without any.  Free with disk_list_free. */
NODISCARD int disk_list(struct disk *d, const char *path, char ***ret_names, size_t *ret_n,
                        struct err *e);
void disk_list_free(char **names, size_t n);
/* Of the file system that holds `path`: what a process without privileges may still write. */
NODISCARD int disk_space(struct disk *d, const char *path, uint64_t *ret_free_bytes, struct err *e);
bool disk_exists(struct disk *d, const char *path); /* false also where that cannot be found out */

/* Up to n bytes; fewer only at the end of the file (*ret_n says how many, 0 at or past the end). */
NODISCARD int file_read(struct file *f, void *p, size_t n, uint64_t off, size_t *ret_n,
                        struct err *e);
/* Exactly n bytes, or ERR_TRUNCATED. */
NODISCARD int file_read_full(struct file *f, void *p, size_t n, uint64_t off, struct err *e);
/* All the pieces one after another, or an error (then any part may have been written). */
NODISCARD int file_write(struct file *f, const struct bytes *v, size_t vn, uint64_t off,
                         struct err *e);
/* As file_write, and these bytes are durable when it returns; of bytes written before it says
 * nothing.  With DISK_DIRECT cheaper than a write and a sync. */
NODISCARD int file_write_durable(struct file *f, const struct bytes *v, size_t vn, uint64_t off,
                                 struct err *e);
NODISCARD int file_write_one(struct file *f, const void *p, size_t n, uint64_t off, struct err *e);
NODISCARD int file_sync(struct file *f, enum file_sync_kind kind, struct err *e);
NODISCARD int file_size(struct file *f, uint64_t *ret, struct err *e);
/* A file that was shorter is extended with zeros. */
NODISCARD int file_truncate(struct file *f, uint64_t bytes, struct err *e);
/* Room on disk for [off, off+n), extending the file; ERR_UNSUPPORTED where the file system cannot.
 */
NODISCARD int file_allocate(struct file *f, uint64_t off, uint64_t n, struct err *e);
NODISCARD int file_lock(struct file *f, enum file_lock_kind kind, struct err *e);
NODISCARD int file_unlock(struct file *f, enum file_lock_kind kind, struct err *e);

/* Maps the file read-only and shared, once, with address space reserved for it to grow to
 * `reserve_bytes`: what file_write and file_truncate add later is visible at the same address.
 * Touching bytes past the end of the file is forbidden.  The mapping ends with file_close. */
NODISCARD int file_map(struct file *f, uint64_t reserve_bytes, const uint8_t **ret, struct err *e);
/* The first `bytes` of the mapping no longer count as this process's memory until they are touched
 * again; what was read of the file stays in the system's cache.  Any thread, beside readers. */
void file_map_release(struct file *f, uint64_t bytes);
/* This part of the mapping, which the file has, stays in memory until the mapping ends.
 * ERR_NOMEM: more than RLIMIT_MEMLOCK allows; ERR_PERMISSION, ERR_AGAIN, ERR_UNSUPPORTED. */
NODISCARD int file_map_lock(struct file *f, uint64_t off, uint64_t bytes, struct err *e);
/* These bytes will be read soon: begins to bring them into the system's cache.  A hint. */
void file_will_need(struct file *f, uint64_t off, uint64_t bytes);
/* Of a file that has lost its name, durably, and that nobody else has open: gives the disk back the
 * last `bytes`.  True: there is more.  To close a large one at once keeps the disk busy (with
 * discards) for as long as a write of it would, and those wait who sync meanwhile.  A file that has
 * a name, or that others read, stays as it is: false. */
bool file_shed(struct file *f, uint64_t bytes);
void file_close(struct file *f);

#endif
