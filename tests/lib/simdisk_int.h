/* simdisk_int.h -- what the files of the simulated disk share.
 *
 *   simdisk.c          faults, directories as operations, what tests may do
 *   simdisk_content.c  contents of files: now, durable, and the changes between
 *   simdisk_names.c    names: the same
 *   simdisk_file.c     files as operations
 *
 * Everything is called under simdisk->lock.
 */
#ifndef KETCH_TESTS_LIB_SIMDISK_INT_H
#define KETCH_TESTS_LIB_SIMDISK_INT_H

#include <pthread.h>

#include "base/list.h"
#include "lib/simdisk.h"

#define SECTOR_BYTES 512u     /* what a device writes as a whole */
#define DIRECT_BYTES 4096u    /* what DISK_DIRECT asks of offsets, lengths and addresses */
#define HOST_PAGE_BYTES 4096u /* what can be mapped */

/* One unsynced change of a file's contents, in order. */
struct change {
    struct change *next;
    bool is_truncate;
    bool durable; /* it is on disk, whatever becomes of those before it */
    uint64_t off; /* of a write; the length for a truncate */
    size_t n;
    uint8_t bytes[];
};

/* Behind `used` everything is zero up to `cap` and was perhaps never touched: files are made longer
 * by megabytes that nobody writes to for a while. */
struct content {
    uint8_t *p;
    size_t n;
    size_t cap;
    size_t used;
};

struct mapping {
    struct list link; /* in inode->mappings */
    uint8_t *base;
    size_t reserve;
    size_t open; /* bytes that can be touched */
};

/* A file or directory, which outlives its names. */
struct inode {
    struct list link; /* in simdisk->inodes */
    bool is_dir;
    unsigned mode;
    struct content now;
    struct content durable;
    struct change *changes; /* from durable to now */
    struct change **changes_end;
    struct list mappings;
    uint8_t *room;     /* by sector: 1 where the disk has given room; 0 in a hole */
    uint64_t room_cap; /* sectors */
    uint64_t room_n;   /* sectors with room */
    unsigned exclusive_locks;
    unsigned shared_locks;
};

/* The names, sorted by path. */
struct names {
    struct name {
        char *path;
        struct inode *inode;
    } * v;
    size_t count;
};

/* One change of a name that its directory has not been synced for. */
struct name_change {
    struct name_change *next;
    char *remove; /* NULL: nothing */
    char *add;    /* NULL: nothing */
    struct inode *inode;
};

struct simdisk {
    struct disk disk;
    pthread_mutex_t lock;
    bool no_direct;
    uint64_t rng;
    unsigned generation; /* handles of older ones are dead */
    struct list inodes;
    struct names now;
    struct names durable;
    struct name_change *name_changes;
    uint64_t capacity;
    char *full_for;     /* part of the paths for which there is no more room; NULL: none */
    uint64_t calls[32]; /* by bit of enum simdisk_call */
    unsigned fail_calls;
    uint64_t fail_after; /* 0: off */
    int fail_code;
    bool fail_sticky;
    bool stops; /* the machine stops when the fault comes */
    bool dead;  /* it has: everything fails */
    bool fresh; /* the fault came with the present call */
};

struct sim_file {
    struct file file;
    struct simdisk *disk;
    struct inode *inode;
    unsigned generation;
    unsigned flags;
    bool locked_exclusive;
    bool locked_shared;
    struct mapping *map;
    char *path;
};

uint64_t sim__rng_next(struct simdisk *s);

/* ---- simdisk_content.c ---- */

void sim__content_write(struct content *c, uint64_t off, const uint8_t *p, size_t n);
void sim__content_copy(struct content *to, const struct content *from);
/* Bring [off, off + n) of one mapping, of all mappings, up to date. */
void sim__mapping_show(struct mapping *m, const struct inode *ino, uint64_t off, size_t n);
void sim__mappings_show(struct inode *ino, uint64_t off, size_t n, bool resized);
struct inode *sim__inode_new(struct simdisk *s, bool is_dir, unsigned mode);
void sim__changes_free(struct inode *ino);
void sim__inode_write(struct inode *ino, uint64_t off, const void *p, size_t n);
void sim__inode_write_durable(struct inode *ino, uint64_t off, const void *p, size_t n);
void sim__inode_truncate(struct inode *ino, uint64_t bytes);
void sim__inode_sync(struct inode *ino);
/* Bytes of the sectors of [off, end) that lie in a hole, or behind the file. */
uint64_t sim__room_missing(const struct inode *ino, uint64_t off, uint64_t end);
void sim__room_take(struct inode *ino, uint64_t off, uint64_t end);
void sim__room_cut(struct inode *ino, uint64_t bytes); /* the file became that short */
void sim__inode_crash(struct simdisk *s, struct inode *ino, enum simdisk_crash_mode mode);

/* ---- simdisk_names.c ---- */

char *sim__path_clean(const char *path);
size_t sim__parent_len(const char *path);
bool sim__is_in_dir(const char *path, const char *dir);
struct inode *sim__names_get(const struct names *m, const char *path);
bool sim__names_have(const struct names *m, const struct inode *ino); /* under any name */
void sim__names_set(struct names *m, const char *path, struct inode *ino);
void sim__names_done(struct names *m);
/* Changes the names as they are now; durable after a sync of the directory. */
void sim__name_change(struct simdisk *s, const char *remove, const char *add, struct inode *ino);
void sim__name_change_free(struct name_change *c);
void sim__names_sync(struct simdisk *s, const char *dir);
void sim__names_crash(struct simdisk *s, enum simdisk_crash_mode mode);

/* ---- simdisk.c ---- */

/* Counts the call; 0, or the code with which it is to fail. */
int sim__call(struct simdisk *s, enum simdisk_call kind);
int sim__fault(struct err *e, int code, const char *what);
uint64_t sim__used_bytes(const struct simdisk *s);
/* True when [off, end) of the file cannot be given room. */
bool sim__is_full(const struct simdisk *s, const char *path, const struct inode *ino, uint64_t off,
                  uint64_t end);

extern const struct file_ops sim__file_ops;

#endif
