/* simdisk.h -- a disk in memory that forgets what was not synced when its power is cut.
 *
 * What is simulated: files, directories, renames, locks, mappings; which bytes and which names are
 * durable; calls that fail on demand.  Everything follows from the calls and the seed.
 *
 * Durability: a write or truncate is durable after a sync of its file; the creation, removal or
 * renaming of a name after a sync of its directory (of the target's, for a rename across).  A sync
 * of a file says nothing about its name.
 *
 * After a crash all handles are dead: every call on them fails with ERR_IO, but they are still to
 * be closed by who opened them (their mappings can be read until then and show the state at the
 * crash).  Files opened afterwards see what survived.
 *
 * A mapping is as strict as the product's contract: touching it behind the end of the file is a
 * segmentation fault (to the granularity of 4096 bytes).
 *
 * Threads: any, one lock inside.   Memory: simdisk_free frees all; handles are closed before.
 */
#ifndef KETCH_TESTS_LIB_SIMDISK_H
#define KETCH_TESTS_LIB_SIMDISK_H

#include "sys/disk.h"

struct simdisk;

/* With an empty root directory: both "/x" and "x" name a file in it. */
struct simdisk *simdisk_new(uint64_t seed);
void simdisk_free(struct simdisk *s);
struct disk *simdisk_disk(struct simdisk *s);
/* Chance begins anew: what a crash will tear. */
void simdisk_seed(struct simdisk *s, uint64_t seed);

/* ---- contents behind the program's back ---- */

/* Creates or replaces a file, durably; missing directories are made. */
void simdisk_put_file(struct simdisk *s, const char *path, const void *p, size_t n);
/* A copy of the current contents (free with mem_free), or NULL when there is no such file. */
uint8_t *simdisk_get_file(struct simdisk *s, const char *path, size_t *ret_n);
/* Turns over the bits of `mask` in one byte, durably and seen by open handles and mappings. */
void simdisk_flip(struct simdisk *s, const char *path, uint64_t off, uint8_t mask);

/* ---- faults ---- */

enum simdisk_call {
    SIM_OPEN = 1 << 0,
    SIM_RENAME = 1 << 1,
    SIM_REMOVE = 1 << 2,
    SIM_MKDIR = 1 << 3,
    SIM_SYNC_DIR = 1 << 4,
    SIM_READ = 1 << 5,
    SIM_WRITE = 1 << 6,
    SIM_SYNC = 1 << 7,
    SIM_TRUNCATE = 1 << 8,
    SIM_ALLOCATE = 1 << 9,
    SIM_MAP = 1 << 10,
    SIM_LOCK = 1 << 11,
    SIM_LIST = 1 << 12,
};
#define SIM_ALL 0x1fffu
/* The calls that change what is on disk. */
#define SIM_CHANGES                                                                             \
    (SIM_RENAME | SIM_REMOVE | SIM_MKDIR | SIM_SYNC_DIR | SIM_WRITE | SIM_SYNC | SIM_TRUNCATE | \
     SIM_ALLOCATE)

/* The nth call from now (1: the next) of a kind in `calls` fails with `code` (ERR_IO, ERR_NO_SPACE
 * ...), and all later ones of these kinds too if `sticky`.  A failing write leaves a part of itself
 * behind.  nth == 0: no more faults. */
void simdisk_fail(struct simdisk *s, unsigned calls, uint64_t nth, int code, bool sticky);
/* How many calls of the kinds in `calls` were made so far. */
uint64_t simdisk_calls(struct simdisk *s, unsigned calls);

/* As simdisk_fail with SIM_CHANGES and sticky, but every call of any kind fails from then on: the
 * machine has stopped.  simdisk_crash then decides what is found afterwards. */
void simdisk_cut_after(struct simdisk *s, uint64_t nth);

/* The disk is full once files have room for this many bytes together, in sectors of 512 (0: no
 * limit): writes and allocations that need more fail with ERR_NO_SPACE.  As on a real disk a
 * truncate that makes a file longer takes no room: it leaves a hole, and it is the write into the
 * hole that fails. What has room can be written again for ever. */
void simdisk_set_capacity(struct simdisk *s, uint64_t bytes);
/* How many they have now. */
uint64_t simdisk_used(struct simdisk *s);
/* The same at once, but only for files in whose path `part` occurs; NULL: there is room again. */
void simdisk_set_full(struct simdisk *s, const char *part);

/* Whether files may be opened with DISK_DIRECT (they may at first). */
void simdisk_set_direct(struct simdisk *s, bool allowed);

enum simdisk_crash_mode {
    SIM_CRASH_KEEP, /* the process died, the machine did not: everything written is there */
    SIM_CRASH_DROP, /* everything that was not synced is gone */
    SIM_CRASH_TEAR, /* each unsynced change is there, or not, or (writes) by 512-byte sectors, at
                       random; changes of names survive up to a random one */
};

/* Ends faults and a cut too. */
void simdisk_crash(struct simdisk *s, enum simdisk_crash_mode mode);

#endif
