/* Reads in slices. */
#include "edge/server/long_read.h"

#include "edge/server/server_int.h"

static struct long_reads *reads_of(const struct long_read *r)
{
    return &r->io->long_reads;
}

static size_t kind_of(const struct long_read *r)
{
    return r->keys > SERVER_READ_SHORT_KEYS;
}

static void leave(struct long_read *r)
{
    struct long_reads *l = reads_of(r);

    list_remove(&r->link);
    if (r->under_way) {
        ASSERT(l->bytes >= r->bytes);
        l->bytes -= r->bytes;
        l->under_way_n[kind_of(r)]--;
    }
    ASSERT(r->io->outstanding > 0);
    r->io->outstanding--;
    call_on_cancel(r->call, NULL);
    call_set_user(r->call, NULL);
}

static bool may_begin(const struct long_read *r)
{
    const struct long_reads *l = reads_of(r);
    size_t kind = kind_of(r);

    if (l->under_way_n[kind] >= SERVER_READS_UNDER_WAY_MAX)
        return false;
    return kind == 0 || l->under_way_n[kind] == 0 ||
           l->bytes + r->io->sorted_bytes + r->bytes <= SERVER_SORTS_BYTES_MAX;
}

/* Those whose turn has come are under way from now on. */
static void begin_waiting(struct io *io)
{
    struct long_reads *l = &io->long_reads;

    for (size_t kind = 0; kind < ARRAY_LEN(l->waiting); kind++) {
        while (!list_empty(&l->waiting[kind])) {
            struct long_read *r = CONTAINER_OF(l->waiting[kind].next, struct long_read, link);

            if (!may_begin(r))
                break;
            list_remove(&r->link);
            list_push(&l->under_way, &r->link);
            r->under_way = true;
            l->under_way_n[kind]++;
            l->bytes += r->bytes;
        }
    }
    if (!list_empty(&l->under_way))
        loop_work_add(io->loop, &l->work);
}

static void end(struct long_read *r, int rc)
{
    struct io *io = r->io;

    leave(r);
    r->end(r, rc);
    begin_waiting(io);
}

static void canceled(struct call *c, enum call_cancel_reason why)
{
    (void) why;
    end(call_user(c), ERR_CANCELED);
}

/* True: it has ended. */
static bool run_one(struct long_read *r, mono_ns until)
{
    bool ready = false;
    int rc;

    do
        rc = r->step(r, MVCC_RANGE_STEP, &ready);
    while (rc == 0 && !ready && !loop_work_over(r->io->loop, until));
    if (rc == 0 && !ready)
        return false;
    end(r, rc);
    return true;
}

static void run(struct loop_work *w, mono_ns until)
{
    struct long_reads *l = CONTAINER_OF(w, struct long_reads, work);
    struct io *io = CONTAINER_OF(l, struct io, long_reads);

    while (!list_empty(&l->under_way)) {
        struct list *first = l->under_way.next;

        if (!run_one(CONTAINER_OF(first, struct long_read, link), until)) {
            list_remove(first); /* the next one is first in the next slice */
            list_push(&l->under_way, first);
        }
        if (loop_work_over(io->loop, until))
            break;
    }
    if (!list_empty(&l->under_way))
        loop_work_add(io->loop, &l->work);
}

void long_reads_init(struct long_reads *l)
{
    loop_work_init(&l->work, run);
    list_init(&l->under_way);
    for (size_t kind = 0; kind < ARRAY_LEN(l->waiting); kind++)
        list_init(&l->waiting[kind]);
}

bool long_reads_none(const struct long_reads *l)
{
    return list_empty(&l->under_way) && list_empty(&l->waiting[0]) && list_empty(&l->waiting[1]);
}

uint64_t long_read_at_once(const struct long_read *r)
{
    if (r->units <= SERVER_READ_AT_ONCE_UNITS)
        return 2 * SERVER_READ_AT_ONCE_UNITS; /* what is ahead is a guess */
    if (r->bytes == 0 || (list_empty(&reads_of(r)->waiting[kind_of(r)]) && may_begin(r)))
        return SERVER_READ_FIRST_UNITS;
    return 0;
}

void long_read_run(struct long_read *r)
{
    if (call_canceled(r->call) != CALL_NOT_CANCELED) {
        r->end(r, ERR_CANCELED);
        return;
    }
    r->under_way = false;
    r->io->outstanding++; /* the loop may not stop before: I3 */
    call_set_user(r->call, r);
    call_on_cancel(r->call, canceled);
    list_push(&reads_of(r)->waiting[kind_of(r)], &r->link);
    begin_waiting(r->io);
}
