/* auth.c -- life, publication, and when memory that readers may see is freed.
 *
 * Reclamation by epochs: a reader notes the epoch when it pins.  What is replaced is unlinked
 * first; at the next publication, after which no new reader can come upon it, it gets the number of
 * the epoch that ends there.  It is freed when no reader is pinned that noted this epoch or an
 * earlier one (K. Fraser, "Practical lock-freedom", 2004, section 5.2.3).  Pins are as short as a
 * lookup, so the list is short, too.
 */
#include "state/auth/auth_int.h"

/* ---- lookups ---- */

bool auth__find_user(const struct auth_view *v, struct bytes name, size_t *ret_at)
{
    size_t lo = 0, hi = v->users_n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (bytes_cmp(v->users[mid]->name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_at = lo;
    return lo < v->users_n && bytes_eq(v->users[lo]->name, name);
}

bool auth__find_role(const struct auth_view *v, struct bytes name, size_t *ret_at)
{
    size_t lo = 0, hi = v->roles_n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (bytes_cmp(v->roles[mid]->name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_at = lo;
    return lo < v->roles_n && bytes_eq(v->roles[lo]->name, name);
}

const struct auth_user *auth__user(const struct auth_view *v, struct bytes name)
{
    size_t at;

    return auth__find_user(v, name, &at) ? v->users[at] : NULL;
}

const struct auth_role *auth__role(const struct auth_view *v, struct bytes name)
{
    size_t at;

    return auth__find_role(v, name, &at) ? v->roles[at] : NULL;
}

/* ---- what readers may still see ---- */

void auth__drop(struct auth_store *a, struct auth_garbage *g)
{
    if (g == NULL)
        return;
    g->next = a->unlinked;
    a->unlinked = g;
}

static uint64_t oldest_pin(const struct auth_store *a)
{
    uint64_t oldest = UINT64_MAX;

    for (size_t i = 0; i < AUTH_READERS_MAX; i++) {
        uint64_t e = atomic_load(&a->readers[i].epoch);

        if (e != 0)
            oldest = MIN(oldest, e);
    }
    return oldest;
}

static void free_unseen(struct auth_store *a)
{
    struct auth_garbage **at = &a->retired;
    uint64_t oldest = a->retired == NULL ? 0 : oldest_pin(a);

    while (*at != NULL) {
        struct auth_garbage *g = *at;

        if (g->epoch < oldest) {
            *at = g->next;
            auth__garbage_free(g);
        } else {
            at = &g->next;
        }
    }
}

static void retire(struct auth_store *a)
{
    uint64_t epoch = atomic_fetch_add(&a->epoch, 1);

    while (a->unlinked != NULL) {
        struct auth_garbage *g = a->unlinked;

        a->unlinked = g->next;
        g->epoch = epoch;
        g->next = a->retired;
        a->retired = g;
    }
}

/* ---- publication ---- */

static struct auth_view *view_copy(const struct auth_view *v)
{
    size_t bytes = sizeof *v + (v->users_n + v->roles_n) * sizeof(void *);
    struct auth_view *c = xmem_alloc(bytes);

    *c = *v;
    c->users = (struct auth_user **) (c + 1);
    c->roles = (struct auth_role **) (c->users + v->users_n);
    if (v->users_n != 0)
        memcpy(c->users, v->users, v->users_n * sizeof *v->users);
    if (v->roles_n != 0)
        memcpy(c->roles, v->roles, v->roles_n * sizeof *v->roles);
    return c;
}

void auth_publish(struct auth_store *a)
{
    if (a->changed) {
        struct auth_view *old = atomic_exchange(&a->published, view_copy(&a->now));

        atomic_store(&a->on, a->now.on);
        atomic_store(&a->revision, a->now.revision);
        a->changed = false;
        if (old != NULL)
            auth__drop(a, &old->garbage);
    }
    if (a->unlinked != NULL)
        retire(a);
    free_unseen(a);
}

void auth__revision_moved(struct auth_store *a)
{
    a->now.revision++;
    auth__put_revision(a);
    a->changed = true;
}

const struct auth_view *auth_now(const struct auth_store *a)
{
    return &a->now;
}

/* ---- readers ---- */

struct auth_reader *auth_reader_new(struct auth_store *a)
{
    for (size_t i = 0; i < AUTH_READERS_MAX; i++) {
        struct auth_reader *r = &a->readers[i];

        if (!r->used) {
            r->used = true;
            r->store = a;
            return r;
        }
    }
    return NULL;
}

void auth_reader_free(struct auth_reader *r)
{
    if (r == NULL)
        return;
    ASSERT(atomic_load(&r->epoch) == 0);
    r->used = false;
}

bool auth_on(const struct auth_store *a)
{
    return atomic_load_explicit(&a->on, memory_order_acquire);
}

uint64_t auth_revision(const struct auth_store *a)
{
    return atomic_load_explicit(&a->revision, memory_order_acquire);
}

const struct auth_view *auth_pin(struct auth_reader *r)
{
    ASSERT(atomic_load_explicit(&r->epoch, memory_order_relaxed) == 0);
    /* The epoch is noted before the pointer is read: whoever frees after that sees the note. */
    atomic_store(&r->epoch, atomic_load(&r->store->epoch));
    return atomic_load(&r->store->published);
}

void auth_unpin(struct auth_reader *r)
{
    ASSERT(atomic_load_explicit(&r->epoch, memory_order_relaxed) != 0);
    atomic_store_explicit(&r->epoch, 0, memory_order_release);
}

/* ---- on and off ---- */

enum api_error auth_enable(struct auth_store *a)
{
    const struct auth_user *root;

    if (a->now.on)
        return API_OK;
    root = auth__user(&a->now, BYTES_LIT(AUTH_ROOT));
    if (root == NULL)
        return API_ROOT_USER_NOT_EXIST;
    if (!root->root)
        return API_ROOT_ROLE_NOT_EXIST;
    a->now.on = true;
    auth__put_on(a);
    a->changed = true;
    return API_OK;
}

void auth_disable(struct auth_store *a)
{
    if (!a->now.on)
        return;
    a->now.on = false;
    auth__put_on(a);
    auth__revision_moved(a);
    auth__tokens_drop_all(a);
}

/* ---- life ---- */

static void forget_all(struct auth_store *a)
{
    for (size_t i = 0; i < a->now.users_n; i++)
        auth__drop(a, &a->now.users[i]->garbage);
    for (size_t i = 0; i < a->now.roles_n; i++)
        auth__drop(a, &a->now.roles[i]->garbage);
    a->now.users_n = a->now.roles_n = 0;
    a->now.on = false;
    a->now.revision = 0;
    a->changed = true;
}

int auth_reload(struct auth_store *a, struct store *s, struct err *e)
{
    int rc;

    a->store = s;
    forget_all(a);
    rc = auth__load(a, e);
    if (rc != 0)
        return err_wrap(e, rc, "load users and roles");
    if (a->now.revision == 0)
        auth__revision_moved(a);
    return 0;
}

int auth_open(const struct auth_config *cfg, struct store *s, struct auth_store **ret,
              struct err *e)
{
    struct auth_store *a = xmem_calloc(1, sizeof *a);
    int rc;

    a->cfg = *cfg;
    heap_init(&a->tokens);
    atomic_init(&a->epoch, 1);
    rc = auth_reload(a, s, e);
    if (rc != 0) {
        auth_free(a);
        return rc;
    }
    auth_publish(a);
    *ret = a;
    return 0;
}

void auth_free(struct auth_store *a)
{
    struct auth_view *v;

    if (a == NULL)
        return;
    auth__tokens_done(a);
    forget_all(a);
    v = atomic_load(&a->published);
    if (v != NULL)
        auth__drop(a, &v->garbage);
    retire(a);
    ASSERT(oldest_pin(a) == UINT64_MAX);
    free_unseen(a);
    ASSERT(a->retired == NULL);
    mem_free(a->now.users);
    mem_free(a->now.roles);
    mem_free(a);
}

/* ---- invariants ---- */

static void check_spans(const struct auth_spans *s)
{
    for (size_t i = 0; i < s->n; i++) {
        ASSERT(auth__end_cmp(&s->v[i], s->v[i].start) > 0);
        if (i + 1 == s->n)
            break;
        ASSERT(!s->v[i].open);
        ASSERT(auth__end_cmp(&s->v[i], s->v[i + 1].start) < 0);
    }
}

static void check_user(const struct auth_user *u)
{
    for (size_t i = 1; i < u->roles_n; i++)
        ASSERT(bytes_cmp(u->roles[i - 1], u->roles[i]) < 0);
    check_spans(&u->allowed[AUTH_READ]);
    check_spans(&u->allowed[AUTH_WRITE]);
}

void auth_check_store(const struct auth_store *a)
{
    const struct auth_view *v = &a->now;

    for (size_t i = 0; i < v->users_n; i++) {
        ASSERT(i == 0 || bytes_cmp(v->users[i - 1]->name, v->users[i]->name) < 0);
        check_user(v->users[i]);
    }
    for (size_t i = 0; i < v->roles_n; i++) {
        const struct auth_role *r = v->roles[i];

        ASSERT(i == 0 || bytes_cmp(v->roles[i - 1]->name, r->name) < 0);
        for (size_t k = 1; k < r->permissions_n; k++)
            ASSERT(bytes_cmp(r->permissions[k - 1].key, r->permissions[k].key) <= 0);
    }
    ASSERT(v->revision > 0);
    ASSERT(v->on || a->tokens.count == 0);
    ASSERT(a->tokens.count <= AUTH_TOKENS_MAX);
}
