/* watch_int.h -- what the files of the watch hub share. */
#ifndef KETCH_STATE_MVCC_WATCH_INT_H
#define KETCH_STATE_MVCC_WATCH_INT_H

#include "base/alloc.h"
#include "state/mvcc/watch.h"
#include "state/mvcc/watch_index.h"

/* Live watchers with the same range, filters and prev_kv: what one of them is told, all are. */
struct watch_group {
    struct watch_span span; /* its keys are the bytes at the end */
    struct list link;       /* in hub.groups */
    struct list watchers;
    size_t watchers_n;
    unsigned filters;
    bool prev_kv;
    /* of the write that is being published */
    uint64_t round;
    struct watch_group *next_hit;
    bool over; /* hit past the limit: it is out of the index, and its watchers go behind */
    struct watch_group *next_over;
    uint32_t hit_first; /* into hub.hits */
    uint32_t hit_last;
    uint32_t hits_n;
    uint8_t bytes[];
};

#define WATCH_HITS_KEEP 65536 /* scratch that is kept from one write to the next */
#define WATCH_HIT_NONE UINT32_MAX

/* One event that passes to one group. */
struct watch_hit {
    uint32_t event;
    uint32_t next; /* of the same group */
};

struct watch_prev {
    bool looked;
    struct bytes kv; /* empty: none */
};

struct watch_hub {
    struct watch_hub_config cfg;
    int64_t revision;
    int64_t compact_revision;
    struct watch_index index; /* of the groups */
    struct list groups;
    struct heap futures; /* watchers whose start_rev is above the revision */
    size_t live_n;

    /* the write that is being published */
    uint64_t round;
    int64_t main;
    const struct mvcc_event *ev;
    size_t ev_n;
    uint32_t ev_at;
    struct watch_group *hit_groups;
    struct watch_group **hit_tail;
    struct watch_group *over; /* to be taken out of the index after this event */
    struct watch_hit *hits;
    size_t hits_n, hits_cap, hits_max;
    struct watch_prev *prevs; /* one for each event, once anyone asked */
    size_t prevs_cap;
    bool prevs_ready;
    struct payload *single[2]; /* the only event of the write, encoded; [1]: with prev_kv */

    /* what was said and not yet handed to the sinks */
    struct list open;    /* streams */
    uint64_t base_bytes; /* queued when the first of them was opened */
    uint64_t open_bytes;
    _Atomic uint64_t queued_bytes;

    uint64_t events_total;
    uint64_t behind_total;
};

/* watch_batch.c */
bool watch__room(struct watch_hub *h, struct watch_stream *s);
void watch__note(struct watch_hub *h, struct watch_stream *s, const struct watch_note *n);

/* watch_hub.c */
void watch__leave(struct watch_hub *h, struct watcher *w);
void watch__hand_back(struct watch_hub *h, struct watcher *w, int64_t next_rev, int64_t revision);
void watch__group_drop_if_empty(struct watch_hub *h, struct watch_group *g);
void watch__wake_futures(struct watch_hub *h, int64_t main);

#endif
