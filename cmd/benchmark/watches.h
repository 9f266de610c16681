/* watches.h -- many watches, spread over streams and connections. */
#ifndef KETCH_CMD_BENCHMARK_WATCHES_H
#define KETCH_CMD_BENCHMARK_WATCHES_H

#include "benchmark/bench.h"

#define WATCHES_MAX 10000000
#define STREAMS_WARNING 100 /* per connection: grpc's usual limit */

struct watched_key {
    ProtobufCBinaryData key;
    mono_ns put_ns;  /* when its last put was sent; 0: never */
    int64_t watches; /* how many watches were opened */
};

struct watches;

struct watched {
    struct watches *all;
    struct watched_key *key;
    mono_ns asked_ns;
    size_t seen; /* events; for the subcommand to count */
};

/* The i-th watch is of key i % key_count, on stream i % streams; the j-th stream is on connection
 * j % connections. */
struct watches {
    struct bench *bench;
    size_t count;
    size_t streams;
    struct watched_key **keys; /* the same one may stand at several places */
    size_t key_count;
    int64_t start_revision; /* 0: from now on */
    bool prev_kv;
    /* Not called for the end of a watch, which ends the program. */
    void (*on_event)(struct watches *all, struct watched *w, const struct ketch_watch_event *ev);
    void *user;

    struct watched *list; /* from here on watches.c's */
    size_t to_create;
    struct report *created;
    struct progress progress;
    bool stop_when_created; /* the loop */
    bool closing;
};

/* Returns when the server has begun all; how long each took goes into `created`. */
void watches_open(struct watches *all, struct report *created);
/* Returns at once. */
void watches_start(struct watches *all, struct report *created);
/* Before bench_close: what comes from now on is dropped. */
void watches_close(struct watches *all);
/* After bench_close. */
void watches_done(struct watches *all);

#endif
