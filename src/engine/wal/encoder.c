#include "base/alloc.h"
#include "base/crc32c.h"
#include "engine/wal/wal_int.h"
#include "wire/pb.h"

/* Record fields: f1 type, f2 crc, f3 data.  The largest head of all: length word, two fields of a
 * byte's tag and a varint, and data's tag and length. */
#define HEAD_BYTES_MAX (8 + 2 + 1 + PB_VARINT_BYTES_MAX + 1 + PB_VARINT_BYTES_MAX)
/* An Entry without its data. */
#define ENTRY_HEAD_BYTES_MAX (2 + 3 * (1 + PB_VARINT_BYTES_MAX))

_Alignas(WAL__BLOCK_BYTES) uint8_t wal__zeros[WAL__ZEROS_BYTES];

bool wal__encoder_init(struct wal__encoder *x)
{
    *x = (struct wal__encoder){.mem = mem_alloc(WAL__BUF_BYTES + WAL__BLOCK_BYTES)};
    if (x->mem == NULL)
        return false;
    x->buf = x->mem + (-(uintptr_t) x->mem & (WAL__BLOCK_BYTES - 1));
    return true;
}

void wal__encoder_done(struct wal__encoder *x)
{
    wal__direct_end(x);
    mem_free(x->mem);
    *x = (struct wal__encoder){0};
}

static void close_run(struct wal__encoder *x)
{
    if (x->buf_n == x->run)
        return;
    ASSERT(x->pieces_n < WAL__PIECES);
    x->pieces[x->pieces_n++] = bytes_of(x->buf + x->run, x->buf_n - x->run);
    x->run = x->buf_n;
}

/* Zeros from the end of a batch on, so that the next small ones fall where the file is written
 * already and a sync has no metadata to carry.  A small one between long ones does without, too:
 * those would write over the zeros right away. */
static void add_zeros(struct wal__encoder *x, uint64_t batch, uint64_t end)
{
    uint64_t to = (end / WAL__ZEROS_BYTES + 1) * WAL__ZEROS_BYTES;

    x->small_run = batch > WAL__ZEROS_BATCH_MAX ? 0 : MIN(x->small_run + 1, WAL__ZEROS_AFTER);
    if (end <= x->zeroed_end)
        return;
    x->zeroed_end = end;
    if (end >= x->zero_limit || x->small_run < WAL__ZEROS_AFTER)
        return;
    to = MIN(to, x->zero_limit);
    ASSERT(to - end <= WAL__ZEROS_BYTES);
    ASSERT(x->pieces_n < WAL__PIECES);
    x->pieces[x->pieces_n++] = bytes_of(wal__zeros, (size_t) (to - end));
    x->zeroed_end = to;
}

/* Whole blocks from that of x->off on; the last one's frames stay in buf. */
static int flush_direct(struct wal__encoder *x, bool durable, struct err *e)
{
    uint64_t start = x->off - x->kept;
    size_t total = x->buf_n - x->kept;
    size_t end = (x->buf_n + WAL__BLOCK_BYTES - 1) / WAL__BLOCK_BYTES * WAL__BLOCK_BYTES;
    int rc;

    ASSERT(start % WAL__BLOCK_BYTES == 0);
    ASSERT(x->pieces_n == 0);
    if (total == 0)
        return 0;
    ASSERT(end <= WAL__BUF_BYTES);
    memset(x->buf + x->buf_n, 0, end - x->buf_n);
    x->pieces[x->pieces_n++] = bytes_of(x->buf, end);
    add_zeros(x, total, start + end);
    rc = durable ? file_write_durable(x->direct, x->pieces, x->pieces_n, start, e)
                 : file_write(x->direct, x->pieces, x->pieces_n, start, e);
    x->pieces_n = 0;
    if (rc != 0)
        return rc;
    x->off += total;
    x->bytes_written += total;
    x->kept = x->buf_n % WAL__BLOCK_BYTES;
    memmove(x->buf, x->buf + x->buf_n - x->kept, x->kept);
    x->buf_n = x->run = x->kept;
    if (durable)
        x->synced_end = x->off;
    return 0;
}

bool wal__encoder_can_flush_durable(const struct wal__encoder *x)
{
    return x->direct != NULL && x->synced_end >= x->off - x->kept && x->buf_n > x->kept;
}

int wal__encoder_flush_durable(struct wal__encoder *x, struct err *e)
{
    ASSERT(wal__encoder_can_flush_durable(x));
    return flush_direct(x, true, e);
}

int wal__encoder_flush(struct wal__encoder *x, struct err *e)
{
    uint64_t total = 0;
    int rc;

    if (x->direct != NULL)
        return flush_direct(x, false, e);
    close_run(x);
    for (size_t i = 0; i < x->pieces_n; i++)
        total += x->pieces[i].n;
    if (total == 0)
        return 0;
    ASSERT(total % WAL__FRAME_ALIGN == 0);
    ASSERT(x->off % WAL__FRAME_ALIGN == 0);
    add_zeros(x, total, x->off + total);
    rc = file_write(x->file, x->pieces, x->pieces_n, x->off, e);
    if (rc != 0)
        return rc;
    ASSERT(x->zeroed_end >= x->off + total);
    x->off += total;
    x->bytes_written += total;
    x->buf_n = x->run = x->pieces_n = 0;
    return 0;
}

/* Room for a record whose copied part is at most `copied` bytes: two pieces for it and one for what
 * add_zeros appends must stay free too. */
static int make_room(struct wal__encoder *x, size_t copied, struct err *e)
{
    size_t n = HEAD_BYTES_MAX + copied + WAL__FRAME_ALIGN;

    ASSERT(n <= WAL__BUF_BYTES);
    if (x->buf_n + n <= WAL__BUF_BYTES && x->pieces_n + 4 <= WAL__PIECES)
        return 0;
    return wal__encoder_flush(x, e);
}

/* The frame's head up to the data.  There is always a crc field, and a data field unless n is 0. */
static void put_head(struct wal__encoder *x, enum wal_record_type type, uint64_t n)
{
    uint8_t *frame = x->buf + x->buf_n;
    uint8_t *p = frame + 8;
    uint64_t record, pad;

    p = pb_put_u64(p, 1, type);
    p = pb_put_varint(pb_put_tag(p, 2, PB_VARINT), x->crc);
    if (n != 0)
        p = pb_put_head(p, 3, n);
    record = (uint64_t) (p - (frame + 8)) + n;
    ASSERT(record <= WAL_RECORD_BYTES_MAX);
    pad = -record & (WAL__FRAME_ALIGN - 1);
    le64_put(frame, record | (pad == 0 ? 0 : (0x80 | pad) << 56));
    x->buf_n = (size_t) (p - x->buf);
}

/* Appends to the run in buf.  Frames lie in memory as in the file, so padding follows from where
 * the frame ends. */
static void put_copy(struct wal__encoder *x, struct bytes b)
{
    ASSERT(b.n <= WAL__BUF_BYTES - x->buf_n);
    x->buf_n = (size_t) (pb_put_raw(x->buf + x->buf_n, b.p, b.n) - x->buf);
}

static void put_pad(struct wal__encoder *x, uint64_t record_start_to_end)
{
    size_t pad = (size_t) (-record_start_to_end & (WAL__FRAME_ALIGN - 1));

    put_copy(x, bytes_of(wal__zeros, pad));
}

int wal__encode_crc(struct wal__encoder *x, struct err *e)
{
    int rc = make_room(x, 0, e);
    size_t start = x->buf_n;

    if (rc != 0)
        return rc;
    start = x->buf_n;
    put_head(x, WAL_RECORD_CRC, 0);
    put_pad(x, x->buf_n - start);
    return 0;
}

int wal__encode_data(struct wal__encoder *x, enum wal_record_type type, struct bytes data,
                     struct err *e)
{
    int rc = make_room(x, data.n, e);
    size_t start = x->buf_n;

    if (rc != 0)
        return rc;
    start = x->buf_n;
    x->crc = crc32c(x->crc, data.p, data.n);
    put_head(x, type, data.n);
    put_copy(x, data);
    put_pad(x, x->buf_n - start);
    return 0;
}

/* Data of any length behind a head that is in the buffer, with the frame's padding.  `fixed`: the
 * bytes of the frame before it. */
static int put_long(struct wal__encoder *x, struct bytes data, size_t fixed, struct err *e)
{
    size_t frame = fixed + data.n;

    while (data.n > 0) {
        size_t k = MIN(data.n, WAL__BUF_BYTES - WAL__FRAME_ALIGN - x->buf_n);

        put_copy(x, bytes_of(data.p, k));
        data = bytes_of(data.p + k, data.n - k);
        if (data.n > 0) {
            int rc = wal__encoder_flush(x, e);

            if (rc != 0)
                return rc;
        }
    }
    put_pad(x, frame);
    return 0;
}

/* The hot one.  The checksum stands before the data, so the entry's own head is made aside first.
 */
int wal__encode_entry(struct wal__encoder *x, const struct raft_entry *en, struct err *e)
{
    struct raft_entry bare = {.term = en->term, .index = en->index, .type = en->type};
    bool copied = en->data.n <= WAL__COPY_BYTES_MAX;
    uint8_t head[ENTRY_HEAD_BYTES_MAX + 1 + PB_VARINT_BYTES_MAX];
    uint8_t *p = raft_entry_put(&bare, head);
    int rc = make_room(x, sizeof head + (copied ? en->data.n : 0), e);
    size_t n, start = x->buf_n;

    if (rc != 0)
        return rc;
    if (en->data.n > WAL_RECORD_BYTES_MAX / 2)
        return err_set(e, ERR_LIMIT, "entry %" PRIu64 ": %zu bytes are too many for the log",
                       en->index, en->data.n);
    if (en->data.n != 0)
        p = pb_put_head(p, 4, en->data.n);
    n = (size_t) (p - head);
    ASSERT(n <= sizeof head);
    start = x->buf_n;
    x->crc = crc32c(crc32c(x->crc, head, n), en->data.p, en->data.n);
    put_head(x, WAL_RECORD_ENTRY, n + en->data.n);
    put_copy(x, bytes_of(head, n));
    if (x->direct != NULL)
        return put_long(x, en->data, x->buf_n - start, e);
    if (copied) {
        put_copy(x, en->data);
        put_pad(x, x->buf_n - start);
        return 0;
    }
    close_run(x);
    ASSERT(x->pieces_n < WAL__PIECES);
    x->pieces[x->pieces_n++] = en->data;
    put_pad(x, x->buf_n - start + en->data.n);
    return 0;
}

int wal__encode_state(struct wal__encoder *x, const struct raft_hard_state *s, struct err *e)
{
    uint8_t b[3 * (1 + PB_VARINT_BYTES_MAX)];
    uint8_t *p = raft_hard_state_put(s, b);

    ASSERT(!wal__state_empty(s));
    return wal__encode_data(x, WAL_RECORD_STATE, bytes_of(b, (size_t) (p - b)), e);
}

/* Index and term are always written: etcd writes them for the empty snapshot too. */
int wal__encode_snapshot(struct wal__encoder *x, const struct wal_snapshot *s, struct err *e)
{
    size_t conf_n = s->index == 0 ? 0 : raft_conf_state_size(&s->conf_state);
    size_t n = 2 + pb_varint_size(s->index) + pb_varint_size(s->term);
    uint8_t *buf, *p;
    int rc;

    if (s->index != 0)
        n += pb_head_size(3, conf_n) + conf_n;
    buf = mem_alloc(n); /* once per snapshot, not per write */
    if (buf == NULL)
        return err_set(e, ERR_NOMEM, "snapshot record: out of memory");
    p = pb_put_varint(pb_put_tag(buf, 1, PB_VARINT), s->index);
    p = pb_put_varint(pb_put_tag(p, 2, PB_VARINT), s->term);
    if (s->index != 0)
        p = raft_conf_state_put(&s->conf_state, pb_put_head(p, 3, conf_n));
    ASSERT((size_t) (p - buf) == n);
    rc = wal__encode_data(x, WAL_RECORD_SNAPSHOT, bytes_of(buf, n), e);
    mem_free(buf);
    return rc;
}

size_t wal__metadata_put(const struct wal_metadata *m, uint8_t ret[32])
{
    uint8_t *p = pb_put_varint(pb_put_tag(ret, 1, PB_VARINT), m->node_id);

    p = pb_put_varint(pb_put_tag(p, 2, PB_VARINT), m->cluster_id);
    ASSERT(p - ret <= 32);
    return (size_t) (p - ret);
}
