#define _DEFAULT_SOURCE
#include "sys/random.h"

#include <sys/random.h>

static uint64_t next(struct random *r)
{
    uint64_t v;

    (void) r;
    if (getrandom(&v, sizeof v, 0) != (ssize_t) sizeof v)
        assert_fail(__FILE__, __LINE__, "getrandom gives eight bytes");
    return v;
}

struct random *random_posix(void)
{
    static struct random r = {next};

    return &r;
}
