#include "engine/net/body.h"

#include "base/alloc.h"

struct body_part {
    const uint8_t *p; /* NULL: a pull */
    uint64_t n;       /* left */
    uint64_t own;     /* counted in own_bytes until it has left */
    struct payload *owner;
};

struct body_msg {
    struct body_msg *next;
    bool heap;
    bool has_pull;
    uint32_t parts_first;
    uint32_t parts_n;
    uint8_t *room_next; /* behind the parts: what is copied goes here */
    uint8_t *room_end;
    struct net_pull pull;
    struct body_part parts[];
};

static struct body_msg *msg_new(struct arena *a, size_t parts, size_t room)
{
    size_t n = sizeof(struct body_msg) + parts * sizeof(struct body_part) + room;
    struct body_msg *m = a == NULL ? mem_alloc(n) : arena_alloc(a, n);

    if (m != NULL) {
        m->next = NULL;
        m->heap = a == NULL;
        m->has_pull = false;
        m->parts_first = m->parts_n = 0;
        m->room_next = (uint8_t *) (m->parts + parts);
        m->room_end = m->room_next + room;
    }
    return m;
}

static void msg_free(struct body_msg *m)
{
    for (uint32_t i = m->parts_first; i < m->parts_n; i++)
        payload_unref(m->parts[i].owner);
    if (m->has_pull && m->pull.done != NULL)
        m->pull.done(m->pull.arg);
    if (m->heap)
        mem_free(m);
}

static void msg_link(struct body *b, struct body_msg *m, uint64_t bytes)
{
    if (b->head == NULL)
        b->head = m;
    else
        b->last->next = m;
    b->last = m;
    b->bytes += bytes;
}

void body_clear(struct body *b)
{
    struct body_msg *m = b->head;

    body_init(b);
    while (m != NULL) {
        struct body_msg *next = m->next;

        msg_free(m);
        m = next;
    }
}

static bool copies(const struct net_piece *x)
{
    return x->kind == NET_PIECE_COPIED ||
           (x->kind == NET_PIECE_COUNTED && x->bytes.n < BODY_COPY_BYTES);
}

/* Puts bytes behind the parts, as a part of their own or as the end of the last one. */
static void copy_in(struct body *b, struct body_msg *m, struct bytes s)
{
    struct body_part *last = m->parts_n == 0 ? NULL : &m->parts[m->parts_n - 1];

    if (s.n == 0)
        return;
    ASSERT((size_t) (m->room_end - m->room_next) >= s.n);
    memcpy(m->room_next, s.p, s.n);
    if (last == NULL || last->p + last->n != m->room_next) {
        last = &m->parts[m->parts_n++];
        *last = (struct body_part){.p = m->room_next};
    }
    last->n += s.n;
    last->own += s.n;
    b->own_bytes += s.n;
    m->room_next += s.n;
}

/* How much of a message is copied, and how much there is of it. */
static void measure(struct bytes head, const struct net_piece *v, size_t vn, size_t *ret_copied,
                    uint64_t *ret_bytes)
{
    *ret_copied = head.n;
    *ret_bytes = head.n;
    for (size_t i = 0; i < vn; i++) {
        *ret_bytes += v[i].bytes.n;
        if (copies(&v[i]))
            *ret_copied += v[i].bytes.n;
    }
}

/* Whether n more bytes can go to the end of the last message that waits: then a burst of small
 * messages shares a block. */
static bool fits_last(const struct body *b, size_t n)
{
    const struct body_msg *m = b->last;

    return b->head != NULL && m->heap && !m->has_pull && m->parts_n > m->parts_first &&
           m->parts[m->parts_n - 1].p + m->parts[m->parts_n - 1].n == m->room_next &&
           (size_t) (m->room_end - m->room_next) >= n;
}

static void refer_to(struct body *b, struct body_msg *m, const struct net_piece *x)
{
    uint64_t own = x->owner == NULL ? x->bytes.n : body_share(x->owner, x->bytes.n);

    m->parts[m->parts_n++] = (struct body_part){x->bytes.p, x->bytes.n, own, payload_ref(x->owner)};
    b->own_bytes += own;
}

static void fill_in(struct body *b, struct body_msg *m, struct bytes head,
                    const struct net_piece *v, size_t vn)
{
    copy_in(b, m, head);
    for (size_t i = 0; i < vn; i++) {
        const struct net_piece *x = &v[i];

        if (copies(x))
            copy_in(b, m, x->bytes);
        else if (x->bytes.n > 0)
            refer_to(b, m, x);
    }
}

bool body_add(struct body *b, struct arena *a, struct bytes head, const struct net_piece *v,
              size_t vn)
{
    struct body_msg *m;
    size_t copied, room;
    uint64_t bytes;

    measure(head, v, vn, &copied, &bytes);
    if (a == NULL && copied == bytes && copied > 0 && fits_last(b, copied)) {
        fill_in(b, b->last, head, v, vn);
        b->bytes += bytes;
        b->held_bytes += bytes;
        return true;
    }
    /* A message that must wait behind another will not be the last one. */
    room = a == NULL && b->head != NULL && copied < BODY_BURST_BYTES / 4 ? BODY_BURST_BYTES
                                                                         : copied;
    m = msg_new(a, vn + 1, room);
    if (m == NULL)
        return false;
    fill_in(b, m, head, v, vn);
    msg_link(b, m, bytes);
    b->held_bytes += bytes;
    return true;
}

bool body_add_pull(struct body *b, struct arena *a, struct bytes head, uint64_t bytes,
                   const struct net_pull *pull)
{
    struct body_msg *m = msg_new(a, 2, head.n);

    if (m == NULL)
        return false;
    copy_in(b, m, head);
    m->parts[m->parts_n++] = (struct body_part){.n = bytes};
    m->has_pull = true;
    m->pull = *pull;
    msg_link(b, m, head.n + bytes);
    b->held_bytes += head.n;
    return true;
}

static enum body_taken take_pull(struct body_msg *m, struct outq *q, size_t n)
{
    uint8_t *to;

    if (n == 0)
        return BODY_TAKEN;
    to = outq_reserve(q, n);
    if (to == NULL)
        return BODY_NOMEM;
    return m->pull.fill(m->pull.arg, to, n) ? BODY_TAKEN : BODY_BROKEN;
}

static enum body_taken take_part(struct body *b, struct body_msg *m, struct outq *q, size_t n)
{
    struct body_part *x = &m->parts[m->parts_first];
    enum body_taken rc;

    ASSERT(n <= x->n);
    if (x->p == NULL) {
        rc = take_pull(m, q, n);
    } else {
        rc = outq_add_counted(q, x->p, n, x->owner) ? BODY_TAKEN : BODY_NOMEM;
        x->p += n;
        b->held_bytes -= n;
    }
    x->n -= n;
    b->bytes -= n;
    if (x->n == 0) {
        b->own_bytes -= x->own;
        payload_unref(x->owner);
        m->parts_first++;
    }
    return rc;
}

enum body_taken body_take(struct body *b, struct outq *q, size_t n)
{
    enum body_taken rc = BODY_TAKEN;

    ASSERT(n <= b->bytes);
    while (n > 0 && rc == BODY_TAKEN) {
        struct body_msg *m = b->head;
        size_t k;

        if (m->parts_first < m->parts_n) {
            k = (size_t) MIN((uint64_t) n, m->parts[m->parts_first].n);
            rc = take_part(b, m, q, k);
            n -= k;
        }
        if (m->parts_first < m->parts_n)
            continue;
        b->head = m->next;
        msg_free(m);
    }
    return rc;
}
