/* lease_fuzz.c -- leases beside a table: grants, revokes, keys, checkpoints, keep-alives, waiters,
 * changes of role and restarts, in any order.
 *
 * Checked after every step: which leases there are and what is left of each, which key hangs on
 * which, the errors.  Never before its time is a lease named as expired, and when asked for all,
 * every one whose time is up is named; who waits for the end of a lease is told exactly once, and
 * why. */
#include "fuzz/choices.h"
#include "state/lease/lease.h"
#include "unit/state/lease/fake_store.h"

#define IDS 12
#define KEYS 24
#define TTL_MIN 2
#define RETRY_MS 7000
#define CHECKPOINT_MS 20000
#define INPUT_BYTES_MAX 4096

struct waiter {
    struct lease_waiter w;
    bool waits;
    int expect; /* what it may be told next; 0: nothing */
};

struct line {
    bool there;
    int64_t ttl_s, rest_s;
    mono_ms deadline; /* of a primary */
    mono_ms named_next;
    struct waiter waiter;
};

static struct choices in;
static struct store disk;
static struct lessor *lessor;
static struct line lines[IDS];
static int hangs_on[KEYS]; /* a line, or -1 */
static bool primary;
static mono_ms now;

static lease_id id_of(size_t i)
{
    return i == IDS - 1 ? INT64_MIN : (lease_id) i * 1000003 - 5000000;
}

static struct bytes key_of(size_t k)
{
    static const char text[KEYS + 1] = "aaaaaaaaaaaaaaaaaaaaaaaa";

    return bytes_of(text, k); /* prefixes of one another, the empty one too */
}

static void start(struct line *l, mono_ms extend)
{
    l->deadline = l->named_next = now + extend + (l->rest_s > 0 ? l->rest_s : l->ttl_s) * 1000;
}

/* ---- waiters ---- */

static void told(struct lease_waiter *w, int rc)
{
    struct waiter *x = CONTAINER_OF(w, struct waiter, w);

    ASSERT(x->waits);
    ASSERT(rc == x->expect);
    x->waits = false;
}

static void expect_all(int rc)
{
    for (size_t i = 0; i < IDS; i++)
        lines[i].waiter.expect = rc;
}

static void nobody_waits(void)
{
    for (size_t i = 0; i < IDS; i++)
        ASSERT(!lines[i].waiter.waits);
    expect_all(0);
}

static void step_await(size_t i)
{
    struct waiter *x = &lines[i].waiter;
    int rc;

    if (x->waits) {
        lease_await_cancel(&x->w);
        x->waits = false;
        return;
    }
    x->w.done = told;
    rc = lease_await(lessor, id_of(i), &x->w);
    ASSERT(rc == (!primary ? ERR_LEASE_NOT_PRIMARY : !lines[i].there ? ERR_LEASE_NOT_FOUND : 0));
    x->waits = rc == 0;
}

/* ---- what comes out of the log ---- */

static int64_t pick_ttl(void)
{
    unsigned b = pick(&in, 256);

    if (b < 250)
        return (int64_t) b % 60 - 5;
    return b < 252 ? LEASE_TTL_S_MAX + (b & 1) : b < 254 ? INT64_MIN : INT64_MAX;
}

static void step_grant(size_t i)
{
    int64_t want = pick_ttl(), got = 0;
    int rc = lease_grant(lessor, id_of(i), want, now, &got);

    if (want > LEASE_TTL_S_MAX) {
        ASSERT(rc == ERR_LEASE_TTL_TOO_LARGE);
        return;
    }
    ASSERT(rc == (lines[i].there ? ERR_LEASE_EXISTS : 0));
    if (rc != 0)
        return;
    ASSERT(got == MAX(want, TTL_MIN));
    lines[i].there = true;
    lines[i].ttl_s = got;
    lines[i].rest_s = 0;
    if (primary)
        start(&lines[i], 0);
}

static void step_revoke(size_t i)
{
    struct lease_keys k;
    size_t n = 0;
    int rc;

    lines[i].waiter.expect = ERR_LEASE_NOT_FOUND;
    rc = lease_revoke(lessor, id_of(i), &k);
    lines[i].waiter.expect = 0;
    ASSERT(!lines[i].waiter.waits);
    ASSERT(rc == (lines[i].there ? 0 : ERR_LEASE_NOT_FOUND));
    if (rc != 0)
        return;
    lines[i].there = false;
    for (size_t x = 0; x < KEYS; x++) { /* key_of ascends with x */
        if (hangs_on[x] != (int) i)
            continue;
        ASSERT(n < k.n);
        ASSERT(bytes_eq(k.keys[n++], key_of(x)));
        hangs_on[x] = -1;
    }
    ASSERT(n == k.n);
    lease_keys_free(&k);
}

static void step_checkpoint(size_t i)
{
    int64_t rest = pick(&in, 3) == 0 ? 0 : 1 + pick(&in, 40);

    lease_checkpoint(lessor, id_of(i), rest, true);
    if (!lines[i].there)
        return;
    lines[i].rest_s = rest;
}

static void step_attach(size_t i, size_t k)
{
    int rc = lease_attach(lessor, id_of(i), key_of(k));

    ASSERT(rc == (lines[i].there ? 0 : ERR_LEASE_NOT_FOUND));
    hangs_on[k] = rc == 0 ? (int) i : -1;
}

/* ---- the primary's part ---- */

static void step_renew(size_t i)
{
    struct line *l = &lines[i];
    int64_t ttl = 0;
    int want = !primary             ? ERR_LEASE_NOT_PRIMARY
               : !l->there          ? ERR_LEASE_NOT_FOUND
               : l->deadline <= now ? ERR_LEASE_EXPIRED
               : l->rest_s > 0      ? ERR_LEASE_CHECKPOINTED
                                    : 0;

    ASSERT(lease_renew(lessor, id_of(i), now, &ttl) == want);
    if (want != 0)
        return;
    ASSERT(ttl == l->ttl_s);
    start(l, 0);
}

static void step_role(void)
{
    if (pick(&in, 2) == 0) {
        expect_all(ERR_LEASE_NOT_PRIMARY);
        lessor_demote(lessor);
        nobody_waits();
        primary = false;
        return;
    }
    mono_ms extend = (mono_ms) pick(&in, 256) * 10;

    lessor_promote(lessor, now, extend);
    primary = true;
    for (size_t i = 0; i < IDS; i++)
        if (lines[i].there)
            start(&lines[i], extend);
}

/* Of a lease that is there. */
static struct line *line_of(lease_id id)
{
    size_t i = 0;

    while (i < IDS && id_of(i) != id)
        i++;
    ASSERT(i < IDS);
    ASSERT(lines[i].there);
    return &lines[i];
}

static void step_expire(void)
{
    size_t max = pick(&in, 4) == 0 ? 1 + pick(&in, 3) : IDS, due = 0;
    lease_id ids[IDS];
    size_t n = lessor_expired(lessor, now, ids, max);

    ASSERT(n <= max);
    for (size_t i = 0; i < IDS; i++)
        due += primary && lines[i].there && lines[i].named_next <= now;
    ASSERT(n == MIN(due, max));
    for (size_t k = 0; k < n; k++) {
        struct line *l = line_of(ids[k]);

        ASSERT(l->named_next <= now); /* each once: it is put off here */
        ASSERT(l->deadline <= now);
        l->named_next = now + RETRY_MS;
    }
}

static void step_checkpoints(void)
{
    struct lease_rest v[IDS];
    size_t n = lessor_checkpoints(lessor, now, v, IDS);

    ASSERT(primary || n == 0);
    for (size_t k = 0; k < n; k++) {
        size_t i = 0;

        while (i < IDS && id_of(i) != v[k].id)
            i++;
        ASSERT(i < IDS);
        ASSERT(lines[i].there);
        ASSERT(v[k].remaining_ttl_s > 0);
        ASSERT(v[k].remaining_ttl_s == (lines[i].deadline - now + 999) / 1000);
    }
}

static void open_lessor(void)
{
    static const struct lessor_config cfg = {.ttl_s_min = TTL_MIN,
                                             .retry_ms = RETRY_MS,
                                             .checkpoint_ms = CHECKPOINT_MS,
                                             .hash_seed = {11, 22}};

    ASSERT(lessor_open(&cfg, &disk, &lessor, NULL) == 0);
    primary = false;
    for (size_t k = 0; k < KEYS; k++) /* as mvcc does when it loads */
        if (hangs_on[k] >= 0)
            ASSERT(lease_attach(lessor, id_of((size_t) hangs_on[k]), key_of(k)) == 0);
}

static void close_lessor(void)
{
    expect_all(ERR_LEASE_NOT_PRIMARY);
    lessor_free(lessor);
    nobody_waits();
}

/* ---- the comparison ---- */

static size_t compare_line(const struct line *l, lease_id id)
{
    struct lease_info info;
    int rc = lease_lookup(lessor, id, now, &info);

    ASSERT(lease_exists(lessor, id) == l->there);
    ASSERT(rc == (l->there ? 0 : ERR_LEASE_NOT_FOUND));
    if (rc != 0)
        return 0;
    ASSERT(info.granted_ttl_s == l->ttl_s);
    ASSERT(info.remaining_ttl_s == l->rest_s);
    if (primary)
        ASSERT(info.ttl_s == (l->deadline - now) / 1000);
    return info.keys_n;
}

static void compare(void)
{
    size_t there = 0, keys = 0;

    for (size_t i = 0; i < IDS; i++) {
        keys += compare_line(&lines[i], id_of(i));
        there += lines[i].there;
    }
    ASSERT(lessor_count(lessor) == there);
    ASSERT(lessor_is_primary(lessor) == primary);
    for (size_t k = 0; k < KEYS; k++) {
        lease_id want = hangs_on[k] < 0 ? LEASE_NONE : id_of((size_t) hangs_on[k]);

        ASSERT(lease_of_key(lessor, key_of(k)) == want);
        keys -= hangs_on[k] >= 0;
    }
    ASSERT(keys == 0);
    lessor_check(lessor);
}

/* The list has every lease once, on a primary the one that ends soonest first. */
static void compare_list(void)
{
    struct arena a;
    lease_id *ids;
    size_t n;
    mono_ms last = INT64_MIN;

    arena_init(&a, 1 << 16);
    ASSERT(lease_list(lessor, &a, &ids, &n) == 0);
    ASSERT(n == lessor_count(lessor));
    for (size_t k = 0; k < n; k++) {
        struct line *l = line_of(ids[k]);

        if (primary)
            ASSERT(l->deadline >= last);
        else
            ASSERT(k == 0 || ids[k - 1] < ids[k]);
        last = l->deadline;
    }
    arena_done(&a);
}

static void step(void)
{
    unsigned what = pick(&in, 24);
    size_t i = pick(&in, IDS), k = pick(&in, KEYS);

    now += (mono_ms) pick(&in, 256) * (pick(&in, 8) == 0 ? 200 : 4);
    if (what < 4) {
        step_grant(i);
    } else if (what < 6) {
        step_revoke(i);
    } else if (what == 6) {
        lease_detach(lessor, key_of(k));
        hangs_on[k] = -1;
    } else if (what == 7) {
        step_checkpoint(i);
    } else if (what == 8) {
        step_role();
    } else if (what == 9) {
        close_lessor();
        open_lessor();
    } else if (what < 13) {
        step_renew(i);
    } else if (what < 15) {
        step_expire();
    } else if (what == 15) {
        step_checkpoints();
    } else if (what < 18) {
        step_await(i);
    } else if (what == 18) {
        compare_list();
    } else {
        step_attach(i, k);
    }
    compare();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    in = choices_of(data, MIN(size, (size_t) INPUT_BYTES_MAX));
    memset(lines, 0, sizeof lines);
    for (size_t k = 0; k < KEYS; k++)
        hangs_on[k] = -1;
    now = 0;
    open_lessor();
    while (!choices_over(&in))
        step();
    close_lessor();
    fake_store_done(&disk);
    return 0;
}
