/* load.c -- puts at a pace. */
#define _POSIX_C_SOURCE 200809L
#include "etcdctl/load.h"

#include <math.h>
#include <signal.h>

#include "base/alloc.h"
#include "sys/clock.h"
#include "sys/random.h"
#include "wire/wire.h"

#define NS_PER_S 1000000000
#define NS_PER_MS 1000000
#define VARINT_BYTES 10
#define LATE_NS_MAX (5 * NS_PER_MS) /* made good: the timer's steps, not a pause */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void) signal;
    interrupted = 1;
}

static int64_t now_ns(void)
{
    return clock_mono_ns(clock_posix());
}

/* ---- results ---- */

static void count_error(struct load *l, const char *text)
{
    size_t i = 0;

    while (i < l->error_count && strcmp(l->errors[i].text, text) != 0)
        i++;
    if (i == LOAD_ERRORS_MAX)
        i--;
    else if (i == l->error_count)
        snprintf(l->errors[l->error_count++].text, sizeof(l->errors[i].text), "%s", text);
    l->errors[i].count++;
}

static void count_put(struct load *l, double seconds)
{
    double from_mean = seconds - l->mean;

    l->done++;
    l->slowest = seconds > l->slowest ? seconds : l->slowest;
    l->mean += from_mean / (double) l->done;
    l->squares += from_mean * (seconds - l->mean);
}

double load_stddev(const struct load *l)
{
    return l->done == 0 ? 0.0 : sqrt(l->squares / (double) l->done);
}

/* ---- puts ---- */

struct put {
    struct load *load;
    int64_t sent_ns;
};

static void pump(struct load *l);

static void on_put(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct put *p = user;
    struct load *l = p->load;

    ketch_reply_free(reply);
    if (e->code == KETCH_OK)
        count_put(l, (double) (now_ns() - p->sent_ns) / NS_PER_S);
    else
        count_error(l, e->text);
    mem_free(p);
    l->under_way--;
    if (l->puts > 0)
        progress_add(&l->progress, 1);
    pump(l);
}

/* A random number as a varint, and zeros behind it. */
static void draw_key(struct load *l)
{
    uint8_t *p = l->key + strlen(l->prefix);
    uint64_t v = random_u64(random_posix());
    size_t n = 0;

    memset(p, 0, VARINT_BYTES);
    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t) (v | 0x80);
    p[n] = (uint8_t) v;
}

static void start_put(struct load *l)
{
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct put *p = xmem_calloc(1, sizeof(*p));

    draw_key(l);
    req.key = wire_binary(bytes_of(l->key, strlen(l->prefix) + l->key_bytes));
    req.value = wire_binary(bytes_of(l->value, l->value_bytes));
    p->load = l;
    p->sent_ns = now_ns();
    if (ketch_start_unread(l->conns[l->begun++ % l->conn_count], KETCH_METHOD_put, &req.base, 0,
                           on_put, p) == NULL)
        mem_exhausted("a load");
    l->under_way++;
}

/* ---- the pace ---- */

static bool is_over(const struct load *l)
{
    return interrupted != 0 || (l->puts > 0 ? l->begun >= l->puts
                                            : now_ns() - l->began_ns >= l->duration_ms * NS_PER_MS);
}

static void tick(void *arg)
{
    struct load *l = arg;

    l->ticking = false;
    pump(l);
}

/* Begins what is due, and comes back when the next put is. */
static void pump(struct load *l)
{
    int64_t now = now_ns();

    l->over = l->over || is_over(l);
    while (!l->over && l->under_way < l->clients && now >= l->next_ns) {
        start_put(l);
        if (l->rate > 0)
            l->next_ns = MAX(l->next_ns, now - LATE_NS_MAX) + (int64_t) (NS_PER_S / l->rate);
        l->over = is_over(l);
    }
    if (l->over && l->under_way == 0)
        ketch_stop(l->ctl->client);
    if (l->over || l->ticking || l->rate == 0)
        return;
    l->ticking = true;
    ketch_after(l->ctl->client, MAX((l->next_ns - now) / NS_PER_MS, 1), tick, l);
}

static void second(void *arg)
{
    struct load *l = arg;

    if (l->puts == 0)
        progress_add(&l->progress, 1);
    pump(l);
    if (!l->over)
        ketch_after(l->ctl->client, 1000, second, l);
}

/* ---- the whole ---- */

static int connect_all(struct load *l)
{
    struct ctl *ctl = l->ctl;
    int status = CTL_OK;

    l->conns[l->conn_count++] = ctl->client;
    while (status == CTL_OK && l->conn_count < MIN(l->clients, LOAD_CONNECTIONS_MAX)) {
        status = ctl_connect(ctl, ctl->endpoints, ctl->endpoint_count, ctl->client,
                             &l->conns[l->conn_count]);
        l->conn_count += l->conns[l->conn_count] != NULL;
    }
    return status;
}

static void run(struct load *l)
{
    struct sigaction on = {.sa_handler = on_interrupt};
    struct sigaction before;

    sigaction(SIGINT, &on, &before);
    progress_begin_things(&l->progress, "writing keys",
                          l->puts > 0 ? l->puts : (uint64_t) l->duration_ms / 1000);
    l->began_ns = now_ns();
    l->next_ns = l->began_ns;
    ketch_after(l->ctl->client, 1000, second, l);
    pump(l);
    ketch_run(l->ctl->client);
    l->seconds = (double) (now_ns() - l->began_ns) / NS_PER_S;
    progress_end(&l->progress);
    sigaction(SIGINT, &before, NULL);
}

int load_run(struct load *l)
{
    int status = connect_all(l);

    l->key = xmem_calloc(1, strlen(l->prefix) + l->key_bytes);
    l->value = xmem_calloc(1, l->value_bytes);
    memcpy(l->key, l->prefix, strlen(l->prefix));
    if (status == CTL_OK)
        run(l);
    mem_free(l->key);
    mem_free(l->value);
    for (size_t i = 1; i < l->conn_count; i++)
        ketch_close(l->conns[i]);
    return status;
}
