#define _GNU_SOURCE
#include "engine/net/tls_worker.h"

#include "base/alloc.h"

_Static_assert(NET_HANDSHAKES_AWAY_MAX < NET_HANDSHAKES_MAX,
               "of those that have a place, one at least is not away");

struct tls_worker {
    struct loop *loop;
    struct thread *thread;
    struct waker waker;
    struct mpsc steps;
    _Atomic bool stop;
    struct list idle; /* the loop's */
    struct tls_step slots[NET_HANDSHAKES_AWAY_MAX];
};

/* ---- its thread ---- */

static void make(struct tls_step *s)
{
    struct tls_conn *t = s->t;

    ASSERT(t->state == TLS_AWAY);
    ASSERT(t->step == s);
    t->in = s->in.p;
    t->in_n = s->in.len;
    s->outcome = tls_shake__step(t, s->why);
}

static void run(void *arg)
{
    struct tls_worker *w = arg;

    thread_give_way();
    while (!atomic_load(&w->stop)) {
        struct mpsc_node *x = mpsc_take(&w->steps);

        if (x == NULL)
            waker_wait(&w->waker, -1);
        while (x != NULL) {
            struct tls_step *s = CONTAINER_OF(x, struct tls_step, node);

            x = x->next; /* once home the step is the loop's again */
            make(s);
            loop_post(w->loop, &s->home);
        }
    }
}

/* ---- the loop's ---- */

bool tls_worker__start(struct loop *l)
{
    struct tls_worker *w;

    if (l->tls_worker != NULL)
        return true;
    w = mem_calloc(1, sizeof *w);
    if (w == NULL)
        return false;
    w->loop = l;
    waker_init(&w->waker);
    mpsc_init(&w->steps);
    list_init(&w->idle);
    for (size_t i = 0; i < ARRAY_LEN(w->slots); i++)
        list_push(&w->idle, &w->slots[i].link);
    if (thread_start("tls", run, w, &w->thread, NULL) != 0) {
        mem_free(w);
        return false;
    }
    l->tls_worker = w;
    return true;
}

void tls_worker__free(struct tls_worker *w)
{
    if (w == NULL)
        return;
    for (size_t i = 0; i < ARRAY_LEN(w->slots); i++)
        ASSERT(!list_empty(&w->slots[i].link)); /* invariant 20 */
    atomic_store(&w->stop, true);
    waker_wake(&w->waker);
    thread_join(w->thread);
    ASSERT(mpsc_empty(&w->steps));
    mem_free(w);
}

bool tls_worker__has_room(const struct tls_worker *w)
{
    return !list_empty(&w->idle);
}

void tls_worker__send(struct tls_worker *w, struct tls_conn *t, struct buf *in,
                      void (*home)(struct loop_task *task))
{
    struct tls_step *s = CONTAINER_OF(list_pop(&w->idle), struct tls_step, link);

    ASSERT(t->state != TLS_AWAY);
    ASSERT(t->step == NULL); /* invariant 19 */
    s->t = t;
    s->home.run = home;
    s->in = *in;
    buf_init(in, in->bytes_max);
    buf_init(&s->out, TLS_STEP_OUT_BYTES_MAX);
    s->lost[0] = '\0';
    t->state = TLS_AWAY;
    t->step = s;
    mpsc_push(&w->steps, &s->node);
    waker_wake(&w->waker);
}

void tls_worker__done(struct tls_worker *w, struct tls_step *s)
{
    buf_done(&s->in);
    buf_done(&s->out);
    s->t = NULL;
    list_push(&w->idle, &s->link);
}
