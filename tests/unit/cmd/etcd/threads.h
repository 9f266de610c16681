/* threads.h -- a real node on real threads, over real files, and requests that are waited for. */
#ifndef KETCH_TESTS_CMD_ETCD_THREADS_H
#define KETCH_TESTS_CMD_ETCD_THREADS_H

#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "etcd/actors.h"
#include "lib/cm.h"
#include "lib/node/member.h"

#define TRIES 20000 /* of a millisecond each, until a test gives up */

struct threads {
    char dir[64];
    struct actors actors;
    struct node *node;
    struct node_sink sink;
};

struct request {
    struct node_request r;
    _Atomic bool answered;
};

NORETURN static inline void threads_fatal(void *ctx, const char *why)
{
    (void) ctx;
    fprintf(stderr, "fatal: %s\n", why);
    abort();
}

static inline void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* ---- requests ---- */

static inline void deliver(struct node_sink *s, struct node_request *first)
{
    (void) s;
    while (first != NULL) {
        struct node_request *next = first->next;

        atomic_store(&CONTAINER_OF(first, struct request, r)->answered, true);
        first = next;
    }
}

/* Not submitted yet. */
static inline struct request *request_new(struct node_sink *sink, enum node_request_kind kind)
{
    struct request *q = test_calloc(1, sizeof *q);

    q->r.kind = kind;
    q->r.sink = sink;
    q->r.arena = arena_new(1 << 20);
    return q;
}

static inline void wait_answered(const struct request *q)
{
    for (int i = 0; i < TRIES && !atomic_load(&q->answered); i++)
        pause_ms(1);
    assert_true(atomic_load(&q->answered));
    assert_int_equal(q->r.result.err, API_OK);
}

static inline void request_free(struct request *q)
{
    arena_free(q->r.arena);
    test_free(q);
}

/* ---- the member ---- */

/* With a directory of its own. */
static inline struct node_config threads_config(struct threads *t, const char *name)
{
    snprintf(t->dir, sizeof t->dir, "/tmp/ketch-%s-XXXXXX", name);
    assert_non_null(mkdtemp(t->dir));
    return member_config(t->dir);
}

/* Nothing runs yet.  transport NULL: there are no others. */
static inline void threads_open(struct threads *t, const struct node_config *cfg, struct disk *disk,
                                const struct node_transport *transport)
{
    struct node_env env = {.disk = disk,
                           .random = random_posix(),
                           .clock = clock_posix(),
                           .transport = transport,
                           .wake = actors_wake,
                           .wake_ctx = &t->actors,
                           .fatal = threads_fatal};
    struct err e = ERR_INIT;

    actors_init(&t->actors);
    assert_int_equal(node_open(cfg, &env, clock_mono_ns(clock_posix()),
                               clock_wall_ms(clock_posix()), &t->node, &e),
                     0);
    t->sink.deliver = deliver;
    node_sink_add(t->node, &t->sink);
}

static inline void threads_start(struct threads *t)
{
    struct err e = ERR_INIT;

    assert_int_equal(actors_start(&t->actors, t->node, &e), 0);
}

/* Stops in order; the directory is gone. */
static inline void threads_end(struct threads *t)
{
    char command[128];

    node_stop(t->node);
    while (!node_stopped(t->node))
        pause_ms(1);
    actors_stop(&t->actors);
    node_close(t->node);
    snprintf(command, sizeof command, "rm -rf %s", t->dir);
    assert_int_equal(system(command), 0);
}

#endif
