#include "edge/server/auth_work.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "sys/thread.h"

struct auth_worker {
    bool prompt;
    struct thread *thread;
    struct waker waker;
    struct mpsc jobs;
    _Atomic unsigned waiting;
    _Atomic bool stop;
};

struct auth_work {
    struct auth_worker v[1 + AUTH_WORK_THREADS_MAX]; /* the first one is prompt */
    unsigned n;
    _Atomic unsigned next;
};

static void finished(struct loop_task *t)
{
    struct auth_job *j = CONTAINER_OF(t, struct auth_job, task);

    j->done(j);
}

static void run(void *arg)
{
    struct auth_worker *w = arg;

    if (!w->prompt)
        thread_stand_back();
    while (!atomic_load(&w->stop)) {
        struct mpsc_node *x = mpsc_take(&w->jobs);

        if (x == NULL)
            waker_wait(&w->waker, -1);
        while (x != NULL) {
            struct auth_job *j = CONTAINER_OF(x, struct auth_job, link);

            x = x->next;
            if (!atomic_load(&j->unwanted))
                j->work(j);
            atomic_fetch_sub(&w->waiting, 1);
            loop_post(j->loop, &j->task);
        }
    }
}

int auth_work_new(unsigned threads_n, struct auth_work **ret, struct err *e)
{
    struct auth_work *w = mem_calloc(1, sizeof *w);
    int rc = 0;

    if (w == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    ASSERT(threads_n > 0);
    for (unsigned i = 0; i < 1 + MIN(threads_n, AUTH_WORK_THREADS_MAX) && rc == 0; i++) {
        w->v[i].prompt = i == 0;
        waker_init(&w->v[i].waker);
        mpsc_init(&w->v[i].jobs);
        rc = thread_start("auth", run, &w->v[i], &w->v[i].thread, e);
        w->n += rc == 0;
    }
    if (rc != 0) {
        auth_work_free(w);
        return rc;
    }
    *ret = w;
    return 0;
}

void auth_work_free(struct auth_work *w)
{
    if (w == NULL)
        return;
    for (unsigned i = 0; i < w->n; i++) {
        atomic_store(&w->v[i].stop, true);
        waker_wake(&w->v[i].waker);
        thread_join(w->v[i].thread);
        ASSERT(atomic_load(&w->v[i].waiting) == 0);
    }
    mem_free(w);
}

bool auth_work_submit(struct auth_work *w, struct loop *l, struct auth_job *j, bool prompt)
{
    unsigned next = prompt ? 0 : 1 + atomic_fetch_add(&w->next, 1) % (w->n - 1);
    struct auth_worker *to = &w->v[next];

    if (atomic_fetch_add(&to->waiting, 1) >= AUTH_WORK_QUEUE_MAX) {
        atomic_fetch_sub(&to->waiting, 1);
        return false;
    }
    j->loop = l;
    j->task.run = finished;
    mpsc_push(&to->jobs, &j->link);
    waker_wake(&to->waker);
    return true;
}
