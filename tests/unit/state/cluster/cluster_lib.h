/* cluster_lib.h -- a membership over a real store on a simulated disk. */
#ifndef KETCH_TESTS_UNIT_STATE_CLUSTER_CLUSTER_LIB_H
#define KETCH_TESTS_UNIT_STATE_CLUSTER_CLUSTER_LIB_H

#include "base/alloc.h"
#include "lib/cm.h"
#include "lib/simdisk.h"
#include "state/cluster/cluster.h"
#include "state/store/store.h"

struct fixture {
    struct simdisk *disk;
    struct store *store;
    struct cluster *c;
    struct arena arena;
    cluster_version level;
};

static inline void fixture_open(struct fixture *f)
{
    const struct store_config sc = {.disk = simdisk_disk(f->disk), .path = "db"};
    const struct cluster_config cc = {
        .cluster_id = 77, .local_id = 1, .level = f->level, .learners_max = 1};
    struct err e = ERR_INIT;

    if (store_open(&sc, &f->store, &e) != 0 || cluster_open(&cc, f->store, &f->c, &e) != 0)
        fail_msg("%s", e.msg);
}

/* Commits what was applied and forgets everything else. */
static inline void fixture_restart(struct fixture *f)
{
    struct err e = ERR_INIT;

    store_seal(f->store);
    assert_int_equal(store_commit(f->store, &e), 0);
    cluster_free(f->c);
    store_close(f->store);
    fixture_open(f);
}

static inline int fixture_set_up(void **state)
{
    struct fixture *f = xmem_calloc(1, sizeof *f);

    f->disk = simdisk_new(1);
    f->level = CLUSTER_VERSION(3, 7);
    arena_init(&f->arena, (size_t) 16 << 20);
    fixture_open(f);
    *state = f;
    return 0;
}

static inline int fixture_tear_down(void **state)
{
    struct fixture *f = *state;

    cluster_free(f->c);
    store_close(f->store);
    arena_done(&f->arena);
    simdisk_free(f->disk);
    mem_free(f);
    return 0;
}

/* A change as it comes out of the log: type, node id, context. */
static inline struct cluster_change change_of(struct fixture *f, enum raft_conf_change_type type,
                                              uint64_t id, const char *context)
{
    struct raft_conf_change cc = {.type = type, .node_id = id, .context = bytes_str(context)};
    struct cluster_change ch;
    struct err e = ERR_INIT;

    if (cluster_change_get(&cc, &f->arena, &ch, &e) != 0)
        fail_msg("%s", e.msg);
    return ch;
}

static inline enum api_error apply(struct fixture *f, enum raft_conf_change_type type, uint64_t id,
                                   const char *context)
{
    struct cluster_change ch = change_of(f, type, id, context);

    return cluster_apply_change(f->c, &ch);
}

/* What the store holds under a key, as text; NULL when absent. */
static inline const char *record(struct fixture *f, enum store_bucket b, const char *key)
{
    struct bytes v;

    if (!store_get(f->store, b, bytes_str(key), &v))
        return NULL;
    return arena_printf(&f->arena, "%.*s", (int) v.n, v.n == 0 ? "" : (const char *) v.p);
}

#endif
