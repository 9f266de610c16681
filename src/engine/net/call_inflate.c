/* call_inflate.c -- messages that come compressed.
 *
 * Few bytes may stand for megabytes.  What is done after a few steps (gzip.h) is done at once.  Any
 * other message waits at its call, and what follows it on its stream waits behind it as if the
 * service had paused (call_input.c); those of a connection are inflated one after the other, as
 * long work of the loop (turn.h).  So a connection has one message that is being made, of which
 * `recv_message_bytes_max` is the limit, and compressed ones, which are held as others that are not
 * whole yet. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/gzip.h"
#include "engine/net/h2_server.h"

/* What may be done at once. */
#define AT_ONCE_STEPS 3

struct inflation {
    struct list link; /* h2_server.inflating */
    struct call *call;
    struct bytes in;
    bool on_heap;               /* `in` is ours to free */
    struct gzip_reader *reader; /* NULL: its turn has not come */
    struct buf out;
};

static void inflation_free(struct inflation *f)
{
    list_remove(&f->link);
    if (f->reader != NULL)
        gzip_read_end(f->reader);
    if (f->on_heap)
        mem_free((void *) (uintptr_t) f->in.p);
    buf_done(&f->out);
    mem_free(f);
}

void call__inflate_drop(struct call *c)
{
    if (c->inflation == NULL)
        return;
    inflation_free(c->inflation);
    c->inflation = NULL;
}

/* Lets it wait, behind those that do. */
static enum call_inflated later(struct call *c, struct bytes in, bool on_heap)
{
    struct inflation *f;

    if (!call__hold(c, (uint32_t) in.n))
        return CALL_INFLATE_FAILED;
    f = mem_calloc(1, sizeof *f);
    if (f == NULL) {
        call__fail(c, 200, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
        return CALL_INFLATE_FAILED;
    }
    f->call = c;
    f->in = in;
    f->on_heap = on_heap;
    buf_init(&f->out, server__limits(c->sc)->recv_message_bytes_max + 1);
    c->inflation = f;
    list_push(&c->h2->inflating, &f->link);
    loop_work_add(c->sc->conn.loop, &c->h2->inflate_work);
    return CALL_INFLATE_LATER;
}

enum call_inflated call__inflate(struct call *c, struct bytes in, bool on_heap, struct buf *out)
{
    size_t max = server__limits(c->sc)->recv_message_bytes_max;
    char text[GZIP_TEXT_BYTES];
    struct gzip_reader *r;
    int status = GRPC_STATUS_RESOURCE_EXHAUSTED;
    bool over = false;

    ASSERT(c->gzip);
    ASSERT(c->inflation == NULL);
    buf_init(out, max + 1);
    r = gzip_read_begin(in, max, out);
    if (r == NULL) {
        call__fail(c, 200, status, "out of memory");
        return CALL_INFLATE_FAILED;
    }
    for (int i = 0; !over && (i < AT_ONCE_STEPS || c->h2 == NULL); i++)
        over = gzip_read_step(r, &status, text);
    gzip_read_end(r);
    if (over && status == GRPC_STATUS_OK)
        return CALL_INFLATED;
    buf_done(out);
    if (!over)
        return later(c, in, on_heap);
    call__fail(c, 200, status, text);
    return CALL_INFLATE_FAILED;
}

/* ---- in steps ---- */

static void finish(struct call *c, int status, const char *text)
{
    struct inflation *f = c->inflation;

    c->inflation = NULL;
    if (status == GRPC_STATUS_OK)
        call__inflated(c, &f->out);
    else
        call__fail(c, 200, status, text);
    inflation_free(f);
    /* Its stream holds it, for this runs on its loop. */
    call__input_go_on(c);
}

/* Room for all of it at once: to grow step by step is to copy it again and again. */
static bool begin(struct inflation *f)
{
    size_t max = f->out.bytes_max - 1;

    if (buf_reserve(&f->out, gzip_promised(f->in, max) + 1) != NULL)
        f->reader = gzip_read_begin(f->in, max, &f->out);
    return f->reader != NULL;
}

static void step(struct inflation *f)
{
    struct call *c = f->call;
    char text[GZIP_TEXT_BYTES];
    int status;

    if (c->answered) { /* by its deadline: nobody needs the message */
        call__inflate_drop(c);
        return;
    }
    if (f->reader == NULL && !begin(f))
        finish(c, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
    else if (gzip_read_step(f->reader, &status, text))
        finish(c, status, text);
}

void call__inflate_work(struct loop_work *w, mono_ns until)
{
    struct h2_server *h2 = CONTAINER_OF(w, struct h2_server, inflate_work);
    struct loop *l = h2->sc->conn.loop;

    while (!h2->terminated && !h2->ending && !list_empty(&h2->inflating)) {
        step(CONTAINER_OF(h2->inflating.next, struct inflation, link));
        if (!loop_work_over(l, until))
            continue;
        if (!list_empty(&h2->inflating))
            loop_work_add(l, w);
        return;
    }
}
