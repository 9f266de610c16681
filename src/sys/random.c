#include "sys/random.h"

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t seeded_next(struct random *base)
{
    struct random_seeded *r = CONTAINER_OF(base, struct random_seeded, random);
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

struct random *random_seeded_init(struct random_seeded *r, uint64_t seed)
{
    r->random.next = seeded_next;
    r->state = seed;
    return &r->random;
}
