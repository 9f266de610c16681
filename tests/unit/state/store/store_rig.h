/* store_rig.h -- a store on a simulated disk: how tests of one begin, begin again and end. */
#ifndef KETCH_TESTS_STORE_RIG_H
#define KETCH_TESTS_STORE_RIG_H

#include "lib/cm.h"
#include "lib/simdisk.h"
#include "state/store/store.h"

static struct simdisk *sim;
static struct store *s;
static struct err e;

/* After a close, or a crash: what the disk holds. */
static inline void open_store(void)
{
    struct store_config cfg = {.disk = simdisk_disk(sim), .path = "snap/db", .map_bytes = 1 << 26};

    assert_int_equal(store_open(&cfg, &s, &e), 0);
}

static inline int setup(void **state)
{
    (void) state;
    e = ERR_INIT;
    sim = simdisk_new(7);
    simdisk_put_file(sim, "snap/keep", "", 0); /* makes the directory */
    open_store();
    return 0;
}

static inline int teardown(void **state)
{
    (void) state;
    store_close(s);
    simdisk_free(sim);
    return 0;
}

#endif
