/* watch_answer.c -- what a server says on a stream of watches, handed to those that it is for. */
#include "client/watch_int.h"

#define WATCH_ID_ALL (-1) /* in progress answers: every watch of the stream */

static void deliver(struct ketch_watch *w, const struct ketch_watch_event *ev)
{
    if (w->dead)
        return;
    if (ev->canceled)
        watch__die(w);
    w->fn(ev, w->user);
}

/* Ends every watch of the stream with these words. */
void watch__fail_all(struct watch_stream *s, const char *text)
{
    struct ketch_watch_event ev = {.canceled = true, .error = text};

    s->busy++;
    LIST_EACH (it, &s->watches) {
        struct ketch_watch *w = CONTAINER_OF(it, struct ketch_watch, link);

        watch__become(w, WATCH_NEW, 0);
        deliver(w, &ev);
    }
    s->busy--;
    watch__sweep(s);
}

static struct ketch_watch *find_creating(struct watch_stream *s)
{
    return list_empty(&s->creating) ? NULL
                                    : CONTAINER_OF(s->creating.next, struct ketch_watch, creating);
}

/* Is it the token, and will another one help?  A watch is refused in an answer, whose words are
 * those of the whole status: "rpc error: code = X desc = etcdserver: ...". */
bool watch__is_refused(const struct watch_stream *s, struct bytes message)
{
    static const char before[] = " desc = ";
    const size_t n = sizeof(before) - 1;

    for (size_t i = 0; i + n < message.n; i++)
        if (memcmp(message.p + i, before, n) == 0) {
            message = bytes_of(message.p + i + n, message.n - i - n);
            break;
        }
    return login__is_stale(s->client, message) && s->refusals < CLIENT_ATTEMPTS_MAX;
}

static void on_created(struct watch_stream *s, const Etcdserverpb__WatchResponse *r)
{
    struct ketch_watch *w = find_creating(s);
    struct ketch_watch_event refused = {.canceled = true, .error = r->cancel_reason};

    if (w == NULL)
        return;
    if (r->canceled && watch__is_refused(s, bytes_str(r->cancel_reason))) {
        s->refused = true;
        rpc_cancel(s->rpc);
        return;
    }
    s->refusals = 0;
    if (r->watch_id == -1 || (r->canceled && r->cancel_reason[0] != 0)) {
        watch__become(w, WATCH_NEW, 0);
        deliver(w, &refused);
        watch__die(w);
        return;
    }
    watch__become(w, WATCH_RUNNING, r->watch_id);
    if (w->next_revision == 0 && r->header != NULL)
        w->next_revision = r->header->revision + 1;
    if (w->dead) {
        s->some_dead = true;
        watch__send_cancel(w);
    } else if (w->on_created != NULL) {
        void (*told)(void *user) = w->on_created;

        w->on_created = NULL;
        told(w->user);
    }
}

/* Why a running watch was canceled, as WatchResponse.Err has it. */
static const char *cancel_words(const Etcdserverpb__WatchResponse *r)
{
    if (r->compact_revision != 0)
        return api_error_text(API_COMPACTED);
    if (r->cancel_reason[0] != 0)
        return r->cancel_reason;
    return api_error_text(API_FUTURE_REV);
}

static bool is_progress(const Etcdserverpb__WatchResponse *r)
{
    return r->n_events == 0 && !r->canceled && !r->created && r->compact_revision == 0 &&
           r->header != NULL && r->header->revision != 0;
}

static void hand_out(struct ketch_watch *w, const Etcdserverpb__WatchResponse *r)
{
    struct ketch_watch_event ev = {
        .header = r->header,
        .events = r->events,
        .event_count = r->n_events,
        .compact_revision = r->compact_revision,
        .canceled = r->canceled,
        .progress = is_progress(r),
        .error = r->canceled ? cancel_words(r) : NULL,
    };

    if (r->n_events > 0 && r->events[r->n_events - 1]->kv != NULL)
        w->next_revision = r->events[r->n_events - 1]->kv->mod_revision + 1;
    else if (ev.progress)
        w->next_revision = r->header->revision + 1;
    deliver(w, &ev);
}

static void hand_out_to_all(struct watch_stream *s, const Etcdserverpb__WatchResponse *r)
{
    LIST_EACH (it, &s->watches) {
        struct ketch_watch *w = CONTAINER_OF(it, struct ketch_watch, link);

        if (w->state == WATCH_RUNNING)
            hand_out(w, r);
    }
}

void watch__on_message(struct rpc *rpc, struct bytes message, void *user)
{
    struct watch_stream *s = user;
    struct ketch_error e;
    struct ketch_reply *reply = client__reply(&etcdserverpb__watch_response__descriptor, message,
                                              &e);
    const Etcdserverpb__WatchResponse *r;
    struct ketch_watch *w;

    if (s->refused) {
        ketch_reply_free(reply);
        return;
    }
    if (reply == NULL) {
        watch__fail_all(s, e.text);
        rpc_cancel(rpc);
        return;
    }
    r = (const Etcdserverpb__WatchResponse *) (const void *) reply->message;
    s->busy++;
    if (r->created) {
        on_created(s, r);
    } else if (r->watch_id == WATCH_ID_ALL && is_progress(r)) {
        hand_out_to_all(s, r);
    } else if ((w = map64_get(&s->running, (uint64_t) r->watch_id)) != NULL) {
        hand_out(w, r);
    }
    s->busy--;
    ketch_reply_free(reply);
    watch__sweep(s);
}
