#include "edge/peer/codec.h"

#include "base/alloc.h"
#include "base/endian.h"

#define WORD 8
#define MSGAPP_LINK_HEARTBEAT 0
#define MSGAPP_ENTRIES 1
#define MSGAPP_MESSAGE 2

/* A buffer that grew for a large item is given back when it is empty. */
#define KEEP_BYTES ((size_t) 64 << 10)

/* One item of the greatest size, and what came with its end. */
#define IN_BYTES_MAX ((size_t) PEER_MESSAGE_BYTES_MAX + ((size_t) 1 << 20))

/* ---- link heartbeats ---- */

struct bytes peer_link_heartbeat(enum peer_stream kind)
{
    static const uint8_t message[] = {0, 0, 0, 0, 0, 0, 0, 2, 0x08, RAFT_MSG_HEARTBEAT};
    static const uint8_t msgapp[] = {MSGAPP_LINK_HEARTBEAT};

    return kind == PEER_STREAM_MESSAGE ? bytes_of(message, sizeof message)
                                       : bytes_of(msgapp, sizeof msgapp);
}

bool peer_is_link_heartbeat(const struct raft_message *m)
{
    return m->type == RAFT_MSG_HEARTBEAT && m->from == 0 && m->to == 0;
}

/* ---- writing ---- */

static struct payload *put_message(const uint8_t *kind, const struct raft_message *m)
{
    size_t n = raft_message_size(m), head = (kind == NULL ? 0 : 1) + WORD;
    struct payload *b = payload_new(head + n);

    if (b == NULL)
        return NULL;
    if (kind != NULL)
        b->data[0] = *kind;
    be64_put(b->data + head - WORD, n);
    raft_message_put(m, b->data + head);
    return b;
}

static struct payload *put_entries(const struct raft_message *m)
{
    size_t n = 1 + WORD + m->entries_n * WORD + WORD;
    struct payload *b;
    uint8_t *p;

    for (size_t i = 0; i < m->entries_n; i++)
        n += raft_entry_size(&m->entries[i]);
    b = payload_new(n);
    if (b == NULL)
        return NULL;
    p = b->data;
    *p++ = MSGAPP_ENTRIES;
    be64_put(p, m->entries_n);
    p += WORD;
    for (size_t i = 0; i < m->entries_n; i++) {
        be64_put(p, raft_entry_size(&m->entries[i]));
        p = raft_entry_put(&m->entries[i], p + WORD);
    }
    be64_put(p, m->commit);
    ASSERT(p + WORD == b->data + n);
    return b;
}

/* Where a stream stands after a whole message. */
static struct peer_stream_state state_behind(const struct raft_message *m)
{
    return (struct peer_stream_state){
        m->term, m->entries_n == 0 ? m->index : m->entries[m->entries_n - 1].index};
}

struct payload *peer_encode(enum peer_stream kind, struct peer_stream_state *st,
                            const struct raft_message *m)
{
    static const uint8_t whole = MSGAPP_MESSAGE;
    struct payload *b;

    if (kind == PEER_STREAM_MESSAGE)
        return put_message(NULL, m);
    ASSERT(m->type == RAFT_MSG_APP);
    if (m->index == st->index && m->log_term == st->term && m->log_term == m->term) {
        b = put_entries(m);
        if (b != NULL)
            st->index += m->entries_n;
        return b;
    }
    b = put_message(&whole, m);
    if (b != NULL)
        *st = state_behind(m);
    return b;
}

/* ---- messages that came ---- */

static int message_alloc(struct bytes in, struct node_message **ret, struct err *e)
{
    struct node_message *x = mem_calloc(1, sizeof *x);

    if (x != NULL) {
        arena_init(&x->arena, PEER_MESSAGE_ARENA_BYTES_MAX);
        x->block = payload_new(in.n);
    }
    if (x == NULL || x->block == NULL) {
        mem_free(x);
        return err_set(e, ERR_NOMEM, "message of a peer: out of memory");
    }
    if (in.n > 0)
        memcpy(x->block->data, in.p, in.n);
    *ret = x;
    return 0;
}

void peer_message_free(struct node_message *x)
{
    arena_done(&x->arena);
    payload_unref(x->block);
    mem_free(x);
}

int peer_message_new(struct bytes in, struct node_message **ret, struct err *e)
{
    struct node_message *x;
    int rc = message_alloc(in, &x, e);

    if (rc != 0)
        return rc;
    rc = raft_message_get(bytes_of(x->block->data, in.n), &x->arena, &x->m, e);
    if (rc != 0) {
        peer_message_free(x);
        return rc;
    }
    for (size_t i = 0; i < x->m.entries_n; i++)
        x->m.entries[i].owner = x->block;
    *ret = x;
    return 0;
}

/* The entries of a kind-1 item, and the commit index behind them. */
static int entries_get(struct node_message *x, struct err *e)
{
    const uint8_t *p = x->block->data;
    size_t n = (size_t) be64_get(p);

    p += WORD;
    x->m.entries = arena_calloc(&x->arena, n, sizeof *x->m.entries);
    if (x->m.entries == NULL && n > 0)
        return err_set(e, ERR_NOMEM, "message of a peer: out of memory");
    for (; x->m.entries_n < n; x->m.entries_n++) {
        size_t k = (size_t) be64_get(p);
        int rc = raft_entry_get(bytes_of(p + WORD, k), &x->m.entries[x->m.entries_n], e);

        if (rc != 0)
            return rc;
        x->m.entries[x->m.entries_n].owner = x->block;
        p += WORD + k;
    }
    x->m.commit = be64_get(p);
    ASSERT(p + WORD == x->block->data + x->block->bytes);
    return 0;
}

/* A kind-1 item, complete: `in` is what lies behind its first byte. */
static int entries_item(struct peer_decoder *d, struct bytes in, struct node_message **ret,
                        struct err *e)
{
    struct node_message *x;
    int rc = message_alloc(in, &x, e);

    if (rc != 0)
        return rc;
    x->m = (struct raft_message){.type = RAFT_MSG_APP,
                                 .from = d->from,
                                 .to = d->to,
                                 .term = d->st.term,
                                 .log_term = d->st.term,
                                 .index = d->st.index};
    rc = entries_get(x, e);
    if (rc != 0) {
        peer_message_free(x);
        return rc;
    }
    d->st.index += x->m.entries_n;
    *ret = x;
    return 0;
}

/* ---- the stream ---- */

void peer_decoder_init(struct peer_decoder *d, enum peer_stream kind, raft_id from, raft_id to)
{
    *d = (struct peer_decoder){.kind = kind, .from = from, .to = to};
    buf_init(&d->in, IN_BYTES_MAX);
}

void peer_decoder_done(struct peer_decoder *d)
{
    buf_done(&d->in);
}

static int too_long(uint64_t n, struct err *e)
{
    return err_set(e, ERR_LIMIT, "message of a peer: %" PRIu64 " bytes are more than %" PRIu64, n,
                   PEER_MESSAGE_BYTES_MAX);
}

/* The length of a kind-1 item that begins at in.p[0]; *ret 0: not complete yet. */
static int scan_entries(struct peer_decoder *d, struct bytes in, size_t *ret, struct err *e)
{
    *ret = 0;
    if (!d->in_entries) {
        if (in.n < 1 + WORD)
            return 0;
        d->entries_left = be64_get(in.p + 1);
        d->scanned = 1 + WORD;
        d->in_entries = true;
        if (d->entries_left > RAFTPB_ENTRIES_MAX)
            return err_set(e, ERR_LIMIT, "message of a peer: %" PRIu64 " entries are more than %d",
                           d->entries_left, RAFTPB_ENTRIES_MAX);
    }
    while (d->entries_left > 0) {
        uint64_t n;

        if (in.n - d->scanned < WORD)
            return 0;
        n = be64_get(in.p + d->scanned);
        if (n > PEER_MESSAGE_BYTES_MAX || d->scanned + n > PEER_MESSAGE_BYTES_MAX)
            return too_long(n, e);
        if (in.n - d->scanned - WORD < n)
            return 0;
        d->scanned += WORD + (size_t) n;
        d->entries_left--;
    }
    if (in.n - d->scanned < WORD)
        return 0;
    *ret = d->scanned + WORD;
    d->in_entries = false;
    return 0;
}

/* The length of an item that is a length and a message, behind `head` bytes. */
static int scan_message(struct bytes in, size_t head, size_t *ret, struct err *e)
{
    uint64_t n;

    *ret = 0;
    if (in.n < head + WORD)
        return 0;
    n = be64_get(in.p + head);
    if (n > PEER_MESSAGE_BYTES_MAX)
        return too_long(n, e);
    if (in.n - head - WORD >= n)
        *ret = head + WORD + (size_t) n;
    return 0;
}

static int scan(struct peer_decoder *d, struct bytes in, size_t *ret, struct err *e)
{
    *ret = 0;
    if (in.n == 0)
        return 0;
    if (d->kind == PEER_STREAM_MESSAGE)
        return scan_message(in, 0, ret, e);
    switch (in.p[0]) {
    case MSGAPP_LINK_HEARTBEAT:
        *ret = 1;
        return 0;
    case MSGAPP_ENTRIES:
        return scan_entries(d, in, ret, e);
    case MSGAPP_MESSAGE:
        return scan_message(in, 1, ret, e);
    default:
        return err_set(e, ERR_CORRUPT, "message of a peer: kind %u is unknown", in.p[0]);
    }
}

static int message_item(struct peer_decoder *d, struct bytes body, struct node_message **ret,
                        struct err *e)
{
    struct node_message *x;
    int rc = peer_message_new(body, &x, e);

    if (rc != 0)
        return rc;
    if (d->kind == PEER_STREAM_MSGAPP && x->m.type != RAFT_MSG_APP) {
        peer_message_free(x);
        return err_set(e, ERR_CORRUPT, "message of a peer: a stream of appends holds another type");
    }
    if (d->kind == PEER_STREAM_MSGAPP)
        d->st = state_behind(&x->m);
    *ret = x;
    return 0;
}

/* One whole item. */
static int take(struct peer_decoder *d, struct bytes item, struct err *e)
{
    struct node_message *x = NULL;
    size_t head = d->kind == PEER_STREAM_MESSAGE ? 0 : 1;
    int rc;

    if (head == 1 && item.p[0] == MSGAPP_LINK_HEARTBEAT)
        return 0;
    if (head == 1 && item.p[0] == MSGAPP_ENTRIES)
        rc = entries_item(d, bytes_of(item.p + 1, item.n - 1), &x, e);
    else
        rc = message_item(d, bytes_of(item.p + head + WORD, item.n - head - WORD), &x, e);
    if (rc == 0)
        d->deliver(d->arg, x);
    return rc;
}

int peer_decode(struct peer_decoder *d, struct bytes in, struct err *e)
{
    size_t at = 0;
    int rc = 0;

    if (!buf_add_bytes(&d->in, in))
        return err_set(e, ERR_NOMEM, "message of a peer: out of memory");
    if (d->in.len == 0)
        return 0; /* nothing to point at */
    while (rc == 0) {
        struct bytes rest = bytes_of(d->in.p + at, d->in.len - at);
        size_t n;

        rc = scan(d, rest, &n, e);
        if (rc != 0 || n == 0)
            break;
        rc = take(d, bytes_of(rest.p, n), e);
        at += n;
    }
    buf_consume(&d->in, at);
    if (d->in.len == 0 && d->in.cap > KEEP_BYTES) {
        buf_done(&d->in);
        buf_init(&d->in, d->in.bytes_max);
    }
    return rc;
}
