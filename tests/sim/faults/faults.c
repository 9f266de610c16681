#include "sim/faults/faults.h"

/* ---- how often ---- */

uint64_t fault_weights_sum(const uint8_t *v, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return sum;
}

size_t fault_weights_at(const uint8_t *v, size_t n, uint64_t x)
{
    size_t k = 0;

    for (; k < n && x >= v[k]; k++)
        x -= v[k];
    return k;
}

/* ---- who reaches whom ---- */

static void cut(struct cuts *c, uint32_t a, uint32_t b, int by)
{
    if (a != b)
        c->n[a][b] = (uint8_t) (c->n[a][b] + by);
}

void cuts_half(struct cuts *c, uint64_t halves, int by)
{
    for (uint32_t i = 0; i < CUT_PLACES; i++)
        for (uint32_t j = 0; j < CUT_PLACES; j++)
            if ((halves >> i & 1) != (halves >> j & 1))
                cut(c, i, j, by);
}

void cuts_one(struct cuts *c, uint32_t a, int by)
{
    for (uint32_t i = 0; i < CUT_PLACES; i++) {
        cut(c, i, a, by);
        cut(c, a, i, by);
    }
}

void cuts_one_way(struct cuts *c, uint32_t a, bool unheard, int by)
{
    for (uint32_t i = 0; i < CUT_PLACES; i++) {
        if (unheard)
            cut(c, a, i, by);
        else
            cut(c, i, a, by);
    }
}

void cuts_bridge(struct cuts *c, uint32_t bridge, uint64_t halves, int by)
{
    for (uint32_t i = 0; i < CUT_PLACES; i++)
        for (uint32_t j = 0; j < CUT_PLACES; j++)
            if (i != bridge && j != bridge && (halves >> i & 1) != (halves >> j & 1))
                cut(c, i, j, by);
}
