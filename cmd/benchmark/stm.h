/* stm.h -- software transactions: what the load and its locks share.
 *
 *                    lock (if asked for)         all keys read
 *      (idle) ----------------------> READING ------------------> COMMITTING --- done, unlock -->
 * (idle) ^                           |   ^ |  compared in vain         |   | with what the failed
 *                                        +---------------------------+   +-- commit has read
 */
#ifndef KETCH_CMD_BENCHMARK_STM_H
#define KETCH_CMD_BENCHMARK_STM_H

#include "benchmark/bench.h"

#define STM_KEY_BYTES 16
#define STM_KEYS_MAX 1000000
#define STM_KEYS_PER_TXN_MAX 100
#define STM_LOCK_NAME "stmlock"
#define STM_LOCK_TTL_S 60
#define STM_LOCK_KEY_BYTES_MAX 256

enum stm_isolation {
    STM_READ_COMMITTED,   /* nothing is compared */
    STM_REPEATABLE_READS, /* what was read is unchanged */
    STM_SERIALIZABLE,     /* and was all read at one revision */
    STM_SNAPSHOT,         /* and what is written is unchanged since, too */
};

enum stm_locker { STM_LOCK_NONE, STM_LOCK_CLIENT, STM_LOCK_RPC };

/* A key of a worker's transaction. */
struct stm_access {
    size_t key;
    bool write;
    int64_t mod_revision; /* as read; 0: it was not there */
};

struct stm_run {
    struct bench bench;
    uint8_t (*keys)[STM_KEY_BYTES];
    size_t key_count;
    size_t per_txn;
    int64_t write_percent;
    ProtobufCBinaryData value;
    enum stm_isolation isolation;
    enum stm_locker locker;
    struct stm_worker *workers;
};

struct stm_worker {
    struct worker *w;
    struct stm_run *run;
    struct stm_access access[STM_KEYS_PER_TXN_MAX];
    size_t read;           /* how many of them have been read */
    int64_t read_revision; /* of the first of them */
    /* the lock (stm_lock.c) */
    int64_t lease;
    struct ketch_keep_alive *keep_alive;
    ProtobufCBinaryData lock_key;   /* data NULL: not held, not asked for */
    int64_t lock_revision;          /* at which our key was created */
    struct ketch_watch *waiting;    /* for the one before us */
    char error[REPORT_ERROR_BYTES]; /* of the transaction, while the lock is given back; or "" */
};

/* Gives the worker a lease for its lock; blocking, before the load. */
NODISCARD int stm_lock_prepare(struct stm_worker *s);
/* stm_locked follows, not from within. */
void stm_lock(struct stm_worker *s);
/* load_done follows. */
void stm_unlock(struct stm_worker *s);
void stm_lock_done(struct stm_worker *s);

/* cmd_stm.c */
void stm_locked(struct stm_worker *s);

#endif
