/* bolt_whole.h -- nothing is wrong with what a transaction sees. */
#ifndef KETCH_TESTS_FUZZ_BOLT_WHOLE_H
#define KETCH_TESTS_FUZZ_BOLT_WHOLE_H

#include "engine/bolt/bolt.h"

static inline void bolt_must_be_whole(struct bolt_tx *tx)
{
    struct err e = ERR_INIT;

    if (bolt_check(tx, NULL, NULL, &e) != 0) {
        fprintf(stderr, "%s\n", e.msg);
        abort();
    }
}

#endif
