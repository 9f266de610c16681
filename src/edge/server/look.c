#include "edge/server/look.h"

#define LOOK_BYTES_MAX (64u << 20) /* far more than the list of one comes to */

static struct look *look_of(struct long_read *r)
{
    return CONTAINER_OF(r, struct look, slices);
}

static int step(struct long_read *r, uint64_t units, bool *ret_ready)
{
    struct look *l = look_of(r);

    return l->given_up ? ERR_CANCELED : mvcc_range_step(l->range, units, ret_ready);
}

static void end(struct long_read *r, int rc)
{
    struct look *l = look_of(r);
    struct contest_kv kv;

    if (rc == 0)
        rc = contest_picked(l->range, &kv);
    l->looked(l, rc, rc == 0 ? &kv : NULL);
}

/* Of one that is long nothing is done before its turn: what it had found it would hold while it
 * waits, and any number may wait. */
static void go_on(struct look *l)
{
    struct long_read *r = &l->slices;
    struct mvcc_range_ahead ahead;
    bool ready = false;
    int rc = 0;

    mvcc_range_ahead(l->range, &ahead);
    r->kind = ahead.keys <= SERVER_READ_SHORT_KEYS && !ahead.guessed ? LONG_READ_SHORT
                                                                     : LONG_READ_WALK;
    r->units = ahead.units;
    if (r->units <= SERVER_READ_AT_ONCE_UNITS)
        rc = step(r, long_read_at_once(r), &ready);
    if (rc != 0 || ready)
        end(r, rc);
    else
        long_read_run(r);
}

void look_begin(struct look *l, struct call *c, const Etcdserverpb__RangeRequest *q,
                void (*looked)(struct look *l, int rc, const struct contest_kv *kv))
{
    struct io *io = call_io(c);
    int rc;

    *l = (struct look){
        .slices = {.io = io, .call = c, .arena = &l->arena, .step = step, .end = end},
        .request = *q,
        .looked = looked};
    arena_init(&l->arena, LOOK_BYTES_MAX);
    l->view = mvcc_view_pin(io->reader);
    rc = mvcc_range_begin(l->view, &l->request, &l->arena, NULL, &l->range);
    if (rc != 0)
        end(&l->slices, rc);
    else
        go_on(l);
}

void look_give_up(struct look *l)
{
    l->given_up = true;
}

void look_end(struct look *l)
{
    arena_done(&l->arena);
    mvcc_view_unpin(l->view);
}
