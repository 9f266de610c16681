/* mirror.h -- one cluster's keys kept the same as another's: the work of make-mirror.
 *
 * First the keys as they are at one revision (mirror_base.c), then every change behind it, in order
 * and revision by revision (mirror_updates.c).  All that is written may be written twice without
 * harm, so a destination that is away for a moment is waited for.
 */
#ifndef KETCH_CMD_ETCDCTL_MIRROR_H
#define KETCH_CMD_ETCDCTL_MIRROR_H

#include "base/list.h"
#include "etcdctl/ctl.h"

#define MIRROR_PAGE_KEYS 1000 /* of the source, asked for at once */
#define MIRROR_PUTS 64        /* under way to the destination at once */
#define MIRROR_RETRY_MS 500   /* before a destination that was Unavailable is asked again */
/* Changes waiting for the destination; beyond, the watch rests until they are written. */
#define MIRROR_QUEUED_BYTES_MAX ((size_t) 64 << 20)

struct mirror {
    struct ctl *ctl;
    struct ketch_client *from;
    struct ketch_client *to; /* shares the loop of `from` */
    struct bytes prefix;     /* of the keys to mirror; empty: all */
    struct bytes dest_prefix;
    uint64_t ops_max; /* of one transaction; 0: no limit */
    int64_t revision; /* the first one not seen yet */
    int64_t total;    /* keys written and deleted so far */

    struct ketch_watch *watch; /* NULL: resting */
    struct list steps;         /* struct step: transactions to be written, the first is under way */
    size_t queued_bytes;
    int status;
};

/* The key as it is named at the destination. */
struct bytes mirror_key(const struct mirror *m, struct arena *a, struct bytes key);

/* Copies all keys, and sets m->revision behind what was copied. */
NODISCARD int mirror_base(struct mirror *m);

/* Follows the changes from m->revision on; returns when it cannot go on. */
NODISCARD int mirror_updates(struct mirror *m);

#endif
