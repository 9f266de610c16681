#include "base/alloc.h"
#include "state/cluster/cluster_int.h"

int cluster_change_get(const struct raft_conf_change *cc, struct arena *a,
                       struct cluster_change *ret, struct err *e)
{
    struct cluster_change ch = {.type = cc->type, .member = {.id = cc->node_id, .name = ""}};
    int rc = 0;

    if (cc->type != RAFT_CONF_REMOVE_NODE)
        rc = cluster__member_parse(cc->context, a, &ch.member, &ch.promote, e);
    if (rc == 0 && ch.member.id != cc->node_id)
        rc = err_set(e, ERR_CORRUPT, "it is for member %" PRIx64 " but describes %" PRIx64,
                     cc->node_id, ch.member.id);
    if (rc == 0)
        *ret = ch;
    return err_wrap(e, rc, "read change of membership");
}

bool cluster_change_context_put(const struct cluster_change *ch, struct buf *out)
{
    if (ch->type == RAFT_CONF_REMOVE_NODE)
        return true;
    return cluster__member_json(&ch->member, ch->promote, out);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static bool any_of(const char *const *sorted, size_t n, const struct cluster_strings *urls)
{
    for (size_t i = 0; i < urls->n; i++) {
        if (bsearch(&urls->v[i], sorted, n, sizeof *sorted, by_text) != NULL)
            return true;
    }
    return false;
}

/* Does another member than `except` use one of these URLs?  There may be as many as a request can
 * hold, so they are not compared each with each. */
static bool url_in_use(const struct cluster_view *v, const struct cluster_strings *urls,
                       uint64_t except)
{
    const char **sorted = xmem_calloc(urls->n + 1, sizeof *sorted);
    bool found = false;

    for (size_t i = 0; i < urls->n; i++)
        sorted[i] = urls->v[i];
    qsort(sorted, urls->n, sizeof *sorted, by_text);
    for (size_t i = 0; i < v->members_n && !found; i++) {
        if (v->members[i].id != except)
            found = any_of(sorted, urls->n, &v->members[i].peer_urls);
    }
    mem_free(sorted);
    return found;
}

static enum api_error check_promote(const struct cluster_member *present)
{
    if (present == NULL)
        return API_MEMBER_NOT_FOUND;
    return present->is_learner ? API_OK : API_MEMBER_NOT_LEARNER;
}

static int64_t learners(const struct cluster_view *v)
{
    return (int64_t) (v->members_n - cluster_view_voters(v));
}

static enum api_error check_add(const struct cluster_view *v, const struct cluster_change *ch,
                                int64_t learners_max)
{
    if (cluster_view_member(v, ch->member.id) != NULL)
        return API_MEMBER_EXIST;
    if (url_in_use(v, &ch->member.peer_urls, 0))
        return API_PEER_URL_EXIST;
    if (ch->type == RAFT_CONF_ADD_LEARNER_NODE && ch->member.is_learner &&
        learners(v) >= learners_max)
        return API_TOO_MANY_LEARNERS;
    return API_OK;
}

enum api_error cluster_check_change(const struct cluster_view *v, const struct cluster_change *ch,
                                    int64_t learners_max)
{
    const struct cluster_member *present = cluster_view_member(v, ch->member.id);

    if (cluster_view_is_removed(v, ch->member.id))
        return API_MEMBER_NOT_FOUND;
    switch (ch->type) {
    case RAFT_CONF_ADD_NODE:
    case RAFT_CONF_ADD_LEARNER_NODE:
        return ch->promote ? check_promote(present) : check_add(v, ch, learners_max);
    case RAFT_CONF_REMOVE_NODE:
        return present == NULL ? API_MEMBER_NOT_FOUND : API_OK;
    case RAFT_CONF_UPDATE_NODE:
        if (present == NULL)
            return API_MEMBER_NOT_FOUND;
        return url_in_use(v, &ch->member.peer_urls, ch->member.id) ? API_PEER_URL_EXIST : API_OK;
    }
    UNREACHABLE();
}

bool cluster_learners_fit(const struct cluster_view *v, int64_t learners_max)
{
    return learners(v) <= learners_max;
}

/* ---- the strict check before proposing ---- */

struct voters {
    size_t n;
    size_t started; /* that have published their name */
};

static struct voters count_voters(const struct cluster_view *v, uint64_t without)
{
    struct voters x = {0, 0};

    for (size_t i = 0; i < v->members_n; i++) {
        const struct cluster_member *m = &v->members[i];

        if (m->is_learner || m->id == without)
            continue;
        x.n++;
        x.started += m->name[0] != '\0';
    }
    return x;
}

static size_t quorum(size_t n)
{
    return n / 2 + 1;
}

bool cluster_ready_to_add_voter(const struct cluster_view *v)
{
    struct voters x = count_voters(v, 0);

    /* A lone member may always be joined: that is how a cluster is rebuilt. */
    if (x.n == 1 && x.started == 1)
        return true;
    return x.started >= quorum(x.n + 1);
}

bool cluster_ready_to_remove_voter(const struct cluster_view *v, uint64_t id)
{
    struct voters x = count_voters(v, id);

    return x.started >= quorum(x.n);
}

bool cluster_ready_to_promote(const struct cluster_view *v)
{
    struct voters x = count_voters(v, 0);

    return x.started + 1 >= quorum(x.n + 1);
}

int cluster_conf_state_of(const struct cluster_view *v, struct arena *a,
                          struct raft_conf_state *ret)
{
    struct raft_conf_state cs = {0};

    cs.voters.v = arena_calloc(a, v->members_n + 1, sizeof *cs.voters.v);
    cs.learners.v = arena_calloc(a, v->members_n + 1, sizeof *cs.learners.v);
    if (cs.voters.v == NULL || cs.learners.v == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < v->members_n; i++) {
        struct raft_ids *to = v->members[i].is_learner ? &cs.learners : &cs.voters;

        to->v[to->n++] = v->members[i].id;
    }
    ASSERT(cs.voters.n + cs.learners.n == v->members_n);
    *ret = cs;
    return 0;
}
