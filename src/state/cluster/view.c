#include "base/alloc.h"
#include "base/sorted.h"
#include "state/cluster/cluster_int.h"

/* The apply path may not go on without memory: a member that cannot keep what it applied would
 * differ from the others. */
static void *must(void *p)
{
    if (p == NULL)
        assert_fail(__FILE__, __LINE__, "out of memory for the membership");
    return p;
}

static struct cluster__view *of(const struct cluster_view *v)
{
    return CONTAINER_OF((uintptr_t) v, struct cluster__view, pub);
}

/* Room for one more element in an array of the arena. */
static void *grow(struct arena *a, const void *old, size_t n, size_t *cap, size_t size)
{
    void *p;

    *cap = MAX((size_t) 4, *cap * 2);
    p = must(arena_calloc(a, *cap, size));
    if (n != 0)
        memcpy(p, old, n * size);
    return p;
}

static const char *copy_string(struct arena *a, const char *s)
{
    return s[0] == '\0' ? "" : must(arena_dup(a, s, strlen(s) + 1));
}

static struct cluster_strings copy_strings(struct arena *a, const struct cluster_strings *from)
{
    const char **v;

    if (from->n == 0)
        return (struct cluster_strings){NULL, 0};
    v = must(arena_calloc(a, from->n, sizeof *v));
    for (size_t i = 0; i < from->n; i++)
        v[i] = copy_string(a, from->v[i]);
    return (struct cluster_strings){v, from->n};
}

struct cluster__view *cluster__view_new(uint64_t cluster_id, uint64_t local_id)
{
    struct cluster__view *v = xmem_calloc(1, sizeof *v);

    atomic_init(&v->refs, 1);
    arena_init(&v->arena, CLUSTER__VIEW_BYTES_MAX);
    v->pub.cluster_id = cluster_id;
    v->pub.local_id = local_id;
    v->pub.downgrade.target = "";
    return v;
}

struct cluster__view *cluster__view_copy(const struct cluster_view *from)
{
    struct cluster__view *v = cluster__view_new(from->cluster_id, from->local_id);

    for (size_t i = 0; i < from->members_n; i++)
        cluster__view_put_member(v, &from->members[i]);
    for (size_t i = 0; i < from->removed_n; i++)
        cluster__view_add_removed(v, from->removed[i]);
    for (size_t i = 0; i < from->alarms_n; i++)
        cluster__view_set_alarm(v, from->alarms[i].member_id, from->alarms[i].kind, true);
    v->pub.version = from->version;
    v->pub.storage_version = from->storage_version;
    cluster__view_set_downgrade(v, from->downgrade.enabled, from->downgrade.target);
    return v;
}

const struct cluster_view *cluster_view_ref(const struct cluster_view *v)
{
    uint32_t before = atomic_fetch_add_explicit(&of(v)->refs, 1, memory_order_relaxed);

    ASSERT(before > 0);
    return v;
}

void cluster_view_unref(const struct cluster_view *v)
{
    if (v == NULL)
        return;
    if (atomic_fetch_sub_explicit(&of(v)->refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_done(&of(v)->arena);
    mem_free(of(v));
}

/* ---- members ---- */

/* Where `id` is or would be. */
static size_t member_at(const struct cluster_view *v, uint64_t id)
{
    size_t lo = 0, hi = v->members_n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (v->members[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const struct cluster_member *cluster_view_member(const struct cluster_view *v, uint64_t id)
{
    size_t i = member_at(v, id);

    return i < v->members_n && v->members[i].id == id ? &v->members[i] : NULL;
}

void cluster__view_put_member(struct cluster__view *v, const struct cluster_member *m)
{
    struct cluster_member copy = {
        .id = m->id,
        .peer_urls = copy_strings(&v->arena, &m->peer_urls),
        .is_learner = m->is_learner,
        .name = copy_string(&v->arena, m->name),
        .client_urls = copy_strings(&v->arena, &m->client_urls),
    };
    size_t i = member_at(&v->pub, m->id);

    if (cluster_view_member(&v->pub, m->id) != NULL) {
        v->members[i] = copy;
        return;
    }
    if (v->pub.members_n == v->members_cap)
        v->members = grow(&v->arena, v->members, v->pub.members_n, &v->members_cap,
                          sizeof *v->members);
    memmove(v->members + i + 1, v->members + i, (v->pub.members_n - i) * sizeof *v->members);
    v->members[i] = copy;
    v->pub.members = v->members;
    v->pub.members_n++;
}

void cluster__view_del_member(struct cluster__view *v, uint64_t id)
{
    size_t i = member_at(&v->pub, id);

    ASSERT(cluster_view_member(&v->pub, id) != NULL);
    v->pub.members_n--;
    memmove(v->members + i, v->members + i + 1, (v->pub.members_n - i) * sizeof *v->members);
}

size_t cluster_view_voters(const struct cluster_view *v)
{
    size_t n = 0;

    for (size_t i = 0; i < v->members_n; i++)
        n += !v->members[i].is_learner;
    return n;
}

/* ---- removed ids ---- */

bool cluster_view_is_removed(const struct cluster_view *v, uint64_t id)
{
    size_t i = sorted_u64_place(v->removed, v->removed_n, id);

    return i < v->removed_n && v->removed[i] == id;
}

void cluster__view_add_removed(struct cluster__view *v, uint64_t id)
{
    size_t n = v->pub.removed_n, i = sorted_u64_place(v->pub.removed, n, id);

    if (cluster_view_is_removed(&v->pub, id))
        return;
    if (n == v->removed_cap)
        v->removed = grow(&v->arena, v->removed, n, &v->removed_cap, sizeof *v->removed);
    memmove(v->removed + i + 1, v->removed + i, (n - i) * sizeof *v->removed);
    v->removed[i] = id;
    v->pub.removed = v->removed;
    v->pub.removed_n++;
}

/* ---- alarms ---- */

static bool alarm_before(struct cluster_alarm x, struct cluster_alarm y)
{
    return x.member_id != y.member_id ? x.member_id < y.member_id : x.kind < y.kind;
}

bool cluster_view_has_alarm(const struct cluster_view *v, int kind)
{
    for (size_t i = 0; i < v->alarms_n; i++) {
        if (v->alarms[i].kind == kind)
            return true;
    }
    return false;
}

/* Where the alarm is or would be. */
static size_t alarm_at(const struct cluster_view *v, struct cluster_alarm x)
{
    size_t i = v->alarms_n;

    while (i > 0 && !alarm_before(v->alarms[i - 1], x))
        i--;
    return i;
}

bool cluster__view_alarm_is_on(const struct cluster_view *v, uint64_t member_id, int kind)
{
    struct cluster_alarm x = {member_id, kind};
    size_t i = alarm_at(v, x);

    return i < v->alarms_n && !alarm_before(x, v->alarms[i]);
}

void cluster__view_set_alarm(struct cluster__view *v, uint64_t member_id, int kind, bool on)
{
    struct cluster_alarm x = {member_id, kind};
    size_t i = alarm_at(&v->pub, x), n = v->pub.alarms_n;

    if (cluster__view_alarm_is_on(&v->pub, member_id, kind) == on)
        return;
    if (!on) {
        memmove(v->alarms + i, v->alarms + i + 1, (n - i - 1) * sizeof *v->alarms);
        v->pub.alarms_n--;
        return;
    }
    if (n == v->alarms_cap)
        v->alarms = grow(&v->arena, v->alarms, n, &v->alarms_cap, sizeof *v->alarms);
    memmove(v->alarms + i + 1, v->alarms + i, (n - i) * sizeof *v->alarms);
    v->alarms[i] = x;
    v->pub.alarms = v->alarms;
    v->pub.alarms_n++;
}

void cluster__view_set_downgrade(struct cluster__view *v, bool enabled, const char *target)
{
    v->pub.downgrade.enabled = enabled;
    v->pub.downgrade.target = copy_string(&v->arena, target);
}

void cluster__view_check(const struct cluster_view *v)
{
    for (size_t i = 0; i < v->members_n; i++) {
        ASSERT(i == 0 || v->members[i - 1].id < v->members[i].id);
        ASSERT(v->members[i].name != NULL);
        ASSERT(!cluster_view_is_removed(v, v->members[i].id));
    }
    for (size_t i = 1; i < v->removed_n; i++)
        ASSERT(v->removed[i - 1] < v->removed[i]);
    for (size_t i = 1; i < v->alarms_n; i++)
        ASSERT(alarm_before(v->alarms[i - 1], v->alarms[i]));
}
