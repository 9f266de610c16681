/* choices.h -- a string of bytes as the choices that a state machine's driver makes.  At the end of
 * them all choices are 0. */
#ifndef KETCH_TESTS_FUZZ_CHOICES_H
#define KETCH_TESTS_FUZZ_CHOICES_H

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct choices {
    const uint8_t *p, *end;
};

static inline struct choices choices_of(const uint8_t *data, size_t size)
{
    return (struct choices){data, data + size};
}

static inline bool choices_over(const struct choices *c)
{
    return c->p == c->end;
}

/* 0 to below - 1; below is at most 256. */
static inline unsigned pick(struct choices *c, unsigned below)
{
    ASSERT(below > 0 && below <= 256);
    return choices_over(c) ? 0 : *c->p++ % below;
}

#endif
