#include "lib/node/others.h"

#include "base/alloc.h"
#include "lib/node/stub.h"
#include "node/node_int.h"

/* ---- to the member ---- */

void others_say(struct others *o, int which, const struct raft_message *m)
{
    struct raft_message x = *m;

    x.from = o->id[which];
    x.to = o->m.node->member_id;
    node_receive(o->m.node, member_message(&x));
}

/* ---- from the member ---- */

static void keep(struct others *o, const struct raft_message *m)
{
    struct raft_message *k;

    if (o->kept_n == OTHERS_KEPT_MAX)
        o->kept_n = 0;
    k = &o->kept[o->kept_n++];
    *k = *m;
    k->entries = NULL;
    k->context = BYTES_EMPTY;
    if (m->type == RAFT_MSG_READ_INDEX) {
        payload_unref(o->context);
        o->context = payload_new(m->entries[0].data.n);
        memcpy(o->context->data, m->entries[0].data.p, o->context->bytes);
    }
}

static void answer(struct others *o, const struct raft_message *m)
{
    struct raft_message a;

    if (!stub_answer(m, &a))
        return;
    if (m->type == RAFT_MSG_APP) {
        a.reject = o->empty[m->to == o->id[1]] && m->index > 0;
        if (a.reject)
            a.index = m->index;
    }
    node_receive(o->m.node, member_message(&a));
}

static void on_send(void *ctx, const struct raft_message *m, size_t n)
{
    struct others *o = ctx;

    for (size_t i = 0; i < n; i++) {
        keep(o, &m[i]);
        if (!o->silent)
            answer(o, &m[i]);
    }
}

/* ---- life ---- */

static void find(struct others *o)
{
    const struct cluster_view *v = node_cluster_view(o->m.node);
    int k = 0;

    for (size_t i = 0; i < v->members_n; i++)
        if (v->members[i].id != o->m.node->member_id)
            o->id[k++] = v->members[i].id;
    ASSERT(k == 2);
}

void others_init(struct others *o, uint64_t seed)
{
    static const char *const names[] = {"m", "second", "third"};
    static const char *const urls[] = {"http://localhost:2380", "http://second:1",
                                       "http://third:1"};
    struct err e = ERR_INIT;

    *o = (struct others){.disk = simdisk_new(seed), .silent = true};
    o->transport = stub_transport(on_send, o);
    member_init(&o->m, simdisk_disk(o->disk), seed);
    o->m.cfg.initial_names = names;
    o->m.cfg.initial_urls = urls;
    o->m.cfg.initial_n = 3;
    o->m.transport = &o->transport;
    if (member_open(&o->m, &e) != 0)
        abort();
    if (!member_run(&o->m, 200, NULL))
        abort();
    find(o);
}

void others_done(struct others *o)
{
    member_close(&o->m);
    payload_unref(o->context);
    simdisk_free(o->disk);
}

void others_elect(struct others *o)
{
    struct node_status st;

    o->silent = false;
    for (int i = 0; i < 100; i++) {
        member_run(&o->m, 200, NULL);
        node_status(o->m.node, &st);
        if (st.is_leader && st.ready && st.applied == st.commit)
            return;
    }
    abort();
}

void others_settle(struct others *o)
{
    while (member_turn(&o->m))
        continue;
}

size_t others_got(const struct others *o, enum raft_message_type t, struct raft_message *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < o->kept_n; i++) {
        if (o->kept[i].type != t)
            continue;
        n++;
        if (ret != NULL)
            *ret = o->kept[i];
    }
    return n;
}
