/* call_inflate.c -- messages that come compressed.
 *
 * Few bytes may stand for megabytes.  What is done after a few steps (gzip.h) is done at once.  Any
 * other message waits at its call, and what follows it on its stream waits behind it as if the
 * service had paused (call_input.c).  Those that wait on a loop are inflated one after the other,
 * one of each connection in turn, as long work of the loop (turn.h).  So a loop has one message
 * that is being made, of which `recv_message_bytes_max` is the limit, and compressed ones, which
 * are held as others that are not whole yet. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/gzip.h"
#include "engine/net/h2_server.h"

/* What may be done at once. */
#define AT_ONCE_STEPS 3

struct inflation {
    struct list link; /* h2_server.inflating */
    struct call *call;
    struct h2_server *h2;
    struct bytes in;
    bool on_heap;               /* `in` is ours to free */
    struct gzip_reader *reader; /* NULL: its turn has not come */
    struct buf out;
};

static void queue(struct h2_server *h2)
{
    struct server_loop *sl = h2->sc->sl;

    list_remove(&h2->inflate_link);
    list_push(&sl->inflating, &h2->inflate_link);
    loop_work_add(sl->loop, &sl->inflate_work);
}

static void inflation_free(struct inflation *f)
{
    struct server_loop *sl = f->h2->sc->sl;

    list_remove(&f->link);
    if (list_empty(&f->h2->inflating))
        list_remove(&f->h2->inflate_link);
    if (list_empty(&sl->inflating))
        loop_work_drop(&sl->inflate_work);
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
    f->h2 = c->h2;
    f->in = in;
    f->on_heap = on_heap;
    buf_init(&f->out, server__limits(c->sc)->recv_message_bytes_max + 1);
    c->inflation = f;
    list_push(&c->h2->inflating, &f->link);
    if (list_empty(&c->h2->inflate_link))
        queue(c->h2);
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
    struct h2_server *h2 = f->h2;

    c->inflation = NULL;
    if (status == GRPC_STATUS_OK)
        call__inflated(c, &f->out);
    else
        call__fail(c, 200, status, text);
    inflation_free(f);
    /* Its stream holds it, for this runs on its loop. */
    call__input_go_on(c);
    if (!list_empty(&h2->inflating))
        queue(h2); /* behind the others */
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

/* One that was told to go, or has gone, gets no answers any more. */
static void forget(struct h2_server *h2)
{
    while (!list_empty(&h2->inflating))
        call__inflate_drop(CONTAINER_OF(h2->inflating.next, struct inflation, link)->call);
}

static void on_work(struct loop_work *w, mono_ns until)
{
    struct server_loop *sl = CONTAINER_OF(w, struct server_loop, inflate_work);

    while (!list_empty(&sl->inflating)) {
        struct h2_server *h2 = CONTAINER_OF(sl->inflating.next, struct h2_server, inflate_link);

        if (h2->terminated || h2->ending)
            forget(h2);
        else
            step(CONTAINER_OF(h2->inflating.next, struct inflation, link));
        if (loop_work_over(sl->loop, until))
            break;
    }
    if (!list_empty(&sl->inflating))
        loop_work_add(sl->loop, w);
}

void call__inflate_init(struct server_loop *sl)
{
    list_init(&sl->inflating);
    loop_work_init(&sl->inflate_work, on_work);
}
