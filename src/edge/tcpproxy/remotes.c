#include "edge/tcpproxy/remotes.h"

/* One in so many goes to a record without weight while others have one. */
#define UNWEIGHTED_ONE_IN 100

/* What is there to choose from. */
struct choice {
    uint16_t priority;
    uint64_t weights;  /* the sum */
    size_t unweighted; /* how many */
};

static bool is_candidate(const struct remote *x, const struct choice *c)
{
    return !x->inactive && x->priority == c->priority;
}

static struct choice best_class(const struct remotes *r)
{
    struct choice c = {.priority = UINT16_MAX};

    for (size_t i = 0; i < r->n; i++)
        if (!r->v[i].inactive)
            c.priority = MIN(c.priority, r->v[i].priority);
    for (size_t i = 0; i < r->n; i++) {
        if (!is_candidate(&r->v[i], &c))
            continue;
        c.weights += r->v[i].weight;
        c.unweighted += r->v[i].weight == 0;
    }
    return c;
}

static size_t next_in_turn(struct remotes *r, const struct choice *c)
{
    size_t i = r->turn % r->n;

    ASSERT(c->unweighted > 0);
    while (!is_candidate(&r->v[i], c) || r->v[i].weight > 0)
        i = (i + 1) % r->n;
    r->turn = i + 1;
    return i;
}

static size_t by_weight(const struct remotes *r, const struct choice *c, struct random *random)
{
    uint64_t left = random_below(random, c->weights);
    size_t i = 0;

    for (; !is_candidate(&r->v[i], c) || left >= r->v[i].weight; i++) {
        if (is_candidate(&r->v[i], c))
            left -= r->v[i].weight;
        ASSERT(i + 1 < r->n); /* left is below the sum of the weights */
    }
    return i;
}

size_t remotes_pick(struct remotes *r, struct random *random)
{
    struct choice c = best_class(r);

    if (c.weights == 0 && c.unweighted == 0)
        return REMOTES_NONE;
    if (c.weights == 0)
        return next_in_turn(r, &c);
    if (c.unweighted > 0 && random_below(random, UNWEIGHTED_ONE_IN) == 0)
        return next_in_turn(r, &c);
    return by_weight(r, &c, random);
}
