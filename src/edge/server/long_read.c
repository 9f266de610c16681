/* Reads in slices. */
#include "edge/server/long_read.h"

#include "edge/server/server_int.h"

static struct long_reads *reads_of(const struct long_read *r)
{
    return &r->io->long_reads;
}

static bool same_connection(const struct long_read *a, const struct long_read *b)
{
    return call_peer(a->call) == call_peer(b->call);
}

/* Behind those of its connection, or in a line of its own. */
static void wait_begins(struct long_read *r)
{
    struct list *lines = &reads_of(r)->waiting[r->kind];
    unsigned looked = 0;

    reads_of(r)->held_bytes += r->held_bytes;
    list_init(&r->link);
    list_init(&r->line);
    LIST_EACH (it, lines) {
        struct long_read *first = CONTAINER_OF(it, struct long_read, line);

        if (same_connection(first, r)) {
            list_push(&first->link, &r->link);
            return;
        }
        if (++looked == SERVER_READ_LINES_LOOK_MAX)
            break;
    }
    list_push(lines, &r->line);
}

/* The next one of its connection is first in the line, which `goes_behind` the others or stays. */
static void wait_ends(struct long_read *r, bool goes_behind)
{
    struct long_reads *l = reads_of(r);
    struct list *next = r->link.next;

    ASSERT(!r->under_way);
    ASSERT(l->held_bytes >= r->held_bytes);
    l->held_bytes -= r->held_bytes;
    if (!list_empty(&r->line) && next != &r->link)
        list_insert_before(goes_behind ? &l->waiting[r->kind] : &r->line,
                           &CONTAINER_OF(next, struct long_read, link)->line);
    list_remove(&r->line);
    list_remove(&r->link);
}

static void leave(struct long_read *r)
{
    struct long_reads *l = reads_of(r);

    if (r->under_way) {
        ASSERT(l->bytes >= r->bytes);
        ASSERT(l->under_way_n[r->kind] > 0);
        list_remove(&r->link);
        l->bytes -= r->bytes;
        l->under_way_n[r->kind]--;
    } else {
        wait_ends(r, false);
    }
    if (list_empty(&l->under_way))
        loop_work_drop(&l->work);
    ASSERT(r->io->outstanding > 0);
    r->io->outstanding--;
    call_on_cancel(r->call, NULL);
    call_set_user(r->call, NULL);
}

static bool may_begin(const struct long_read *r)
{
    const struct long_reads *l = reads_of(r);
    size_t others = l->under_way_n[r->kind];

    if (others >= SERVER_READS_UNDER_WAY_MAX)
        return false;
    return r->kind != LONG_READ_LIST || others == 0 ||
           l->bytes + r->io->sorted_bytes + r->bytes <= SERVER_SORTS_BYTES_MAX;
}

/* Others of its kind come first. */
static bool must_wait(const struct long_read *r)
{
    return !list_empty(&reads_of(r)->waiting[r->kind]) || !may_begin(r);
}

bool long_read_has_room(const struct long_read *r)
{
    return r->bytes == 0 || r->io->sorted_bytes < SERVER_SORTS_BYTES_MAX;
}

/* Its list has become longer than was thought. */
static void bytes_known(struct long_read *r)
{
    uint64_t used = r->arena->used_bytes;

    if (r->bytes == 0 || used <= r->bytes)
        return;
    reads_of(r)->bytes += used - r->bytes;
    r->bytes = used;
}

/* Those whose turn has come are under way from now on. */
static void begin_waiting(struct io *io)
{
    struct long_reads *l = &io->long_reads;

    for (size_t kind = 0; kind < LONG_READ_KINDS; kind++) {
        while (!list_empty(&l->waiting[kind])) {
            struct long_read *r = CONTAINER_OF(l->waiting[kind].next, struct long_read, line);

            if (!may_begin(r))
                break;
            wait_ends(r, true);
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
    int rc = r->begun || long_read_has_room(r) ? 0 : ERR_NOMEM;

    r->begun = true;
    while (rc == 0 && !ready) {
        rc = r->step(r, MVCC_RANGE_STEP, &ready);
        if (rc == 0 && !ready && loop_work_over(r->io->loop, until)) {
            bytes_known(r);
            return false;
        }
    }
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
    for (size_t kind = 0; kind < LONG_READ_KINDS; kind++)
        list_init(&l->waiting[kind]);
}

bool long_reads_none(const struct long_reads *l)
{
    for (size_t kind = 0; kind < LONG_READ_KINDS; kind++)
        if (!list_empty(&l->waiting[kind]))
            return false;
    return list_empty(&l->under_way);
}

uint64_t long_read_at_once(const struct long_read *r)
{
    if (r->units <= SERVER_READ_AT_ONCE_UNITS)
        return 2 * SERVER_READ_AT_ONCE_UNITS; /* what is ahead is a guess */
    return r->bytes == 0 || !must_wait(r) ? SERVER_READ_FIRST_UNITS : 0;
}

void long_read_run(struct long_read *r)
{
    if (call_canceled(r->call) != CALL_NOT_CANCELED) {
        r->end(r, ERR_CANCELED);
        return;
    }
    if (r->bytes != 0 && must_wait(r) && reads_of(r)->held_bytes >= SERVER_SORTS_BYTES_MAX) {
        r->end(r, ERR_NOMEM);
        return;
    }
    r->under_way = false;
    r->begun = false;
    r->held_bytes = r->bytes == 0 ? 0 : r->arena->used_bytes;
    r->io->outstanding++; /* the loop may not stop before: I3 */
    call_set_user(r->call, r);
    call_on_cancel(r->call, canceled);
    wait_begins(r);
    begin_waiting(r->io);
}

/* What is not known counts as long: the little that there is of it is done at once. */
static enum long_read_kind kind_of(const struct mvcc_range_ahead *ahead)
{
    if (ahead->keys <= SERVER_READ_SHORT_KEYS && !ahead->guessed)
        return LONG_READ_SHORT;
    return ahead->bytes == 0 ? LONG_READ_WALK : LONG_READ_LIST;
}

void long_read_go_on(struct long_read *r, const struct mvcc_range_ahead *ahead)
{
    bool ready = false;
    int rc = 0;

    r->kind = kind_of(ahead);
    r->units = ahead->units;
    r->bytes = ahead->bytes;
    if (r->bytes != 0)
        r->arena->bytes_max = SERVER_SORT_BYTES_MAX;
    if (!long_read_has_room(r))
        rc = ERR_NOMEM;
    if (rc == 0)
        rc = r->step(r, long_read_at_once(r), &ready);
    if (rc != 0 || ready)
        r->end(r, rc);
    else
        long_read_run(r);
}
