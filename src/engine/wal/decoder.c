#include "base/alloc.h"
#include "base/crc32c.h"
#include "engine/wal/wal_int.h"
#include "wire/pb.h"

#define READ_BYTES 262144 /* asked of the disk at once */

void wal__decoder_init(struct wal__decoder *x)
{
    *x = (struct wal__decoder){0};
}

void wal__decoder_done(struct wal__decoder *x)
{
    mem_free(x->buf);
    wal__decoder_init(x);
}

int wal__decoder_refresh(struct wal__decoder *x, struct err *e)
{
    ASSERT(x->file != NULL);
    x->window_n = 0;
    return file_size(x->file, &x->file_bytes, e);
}

int wal__decoder_begin(struct wal__decoder *x, struct file *f, const char *name, bool last,
                       struct err *e)
{
    x->file = f;
    x->name = name;
    x->last = last;
    x->off = 0;
    return wal__decoder_refresh(x, e);
}

/* The n bytes at file offset `at`, which the file has; they stay valid until the next call. */
static int window(struct wal__decoder *x, uint64_t at, size_t n, const uint8_t **ret, struct err *e)
{
    size_t want;
    int rc;

    ASSERT(at <= x->file_bytes);
    ASSERT(n <= x->file_bytes - at);
    if (at >= x->window_off && at + n <= x->window_off + x->window_n) {
        *ret = x->buf + (at - x->window_off);
        return 0;
    }
    want = (size_t) MIN(MAX((uint64_t) n, READ_BYTES), x->file_bytes - at);
    if (want > x->cap) {
        uint8_t *more = mem_realloc(x->buf, want);

        if (more == NULL)
            return err_set(e, ERR_NOMEM, "read %s: out of memory", x->name);
        x->buf = more;
        x->cap = want;
    }
    x->window_n = 0;
    rc = file_read_full(x->file, x->buf, want, at, e);
    if (rc != 0)
        return rc;
    x->window_off = at;
    x->window_n = want;
    *ret = x->buf;
    return 0;
}

/* A disk writes sectors whole or not at all, and what was never written is zero.  So a record that
 * a crash has torn has a sector, or its part of one, that is zero throughout; a sector that merely
 * has wrong bytes in it is damage.  `at` is the file offset of p. */
static bool has_zero_sector(const uint8_t *p, uint64_t n, uint64_t at)
{
    for (uint64_t i = 0; i < n;) {
        uint64_t end = MIN(n, i + WAL__SECTOR_BYTES - (at + i) % WAL__SECTOR_BYTES);
        uint64_t k = i;

        while (k < end && p[k] == 0)
            k++;
        if (k == end)
            return true;
        i = end;
    }
    return false;
}

static int torn(const struct wal__decoder *x, struct err *e)
{
    ASSERT(x->last);
    return err_set(e, ERR_WAL_TORN, "segment %s: torn record at offset %" PRIu64, x->name, x->off);
}

static int damaged(const struct wal__decoder *x, const char *what, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "segment %s: damaged record at offset %" PRIu64 ": %s", x->name,
                   x->off, what);
}

/* A frame that is all there but does not hold a good record. */
static int bad_record(const struct wal__decoder *x, const uint8_t *p, uint64_t n, const char *what,
                      struct err *e)
{
    if (x->last && has_zero_sector(p, n, x->off + 8))
        return torn(x, e);
    return damaged(x, what, e);
}

/* A frame that claims to be longer than the file.  Where a file was cut short the record itself
 * agrees with the length word: damage of the word alone must not pass for a torn tail, or the
 * records behind it would be thrown away. */
static int overlong(struct wal__decoder *x, uint64_t record_n, struct err *e)
{
    uint64_t left = x->file_bytes - x->off - 8;
    size_t n = (size_t) MIN(left, 64);
    const uint8_t *p;
    struct pb_reader r;
    uint64_t tag, v = 0, claimed;
    int rc;

    if (!x->last)
        return damaged(x, "it reaches beyond the end of the file", e);
    rc = window(x, x->off + 8, n, &p, e);
    if (rc != 0)
        return rc;
    if (has_zero_sector(p, n, x->off + 8))
        return torn(x, e);
    r = pb_reader_of(bytes_of(p, n));
    for (uint32_t field = 1; field <= 3; field++) {
        bool got = pb_get_varint(&r, &tag) && pb_get_varint(&r, &v);

        if (!got && left <= 64)
            return torn(x, e); /* the file ends within the record's head */
        if (!got || tag != ((uint64_t) field << 3 | (field == 3 ? PB_LEN : PB_VARINT)))
            return damaged(x, "it reaches beyond the end of the file", e);
    }
    claimed = (uint64_t) (r.p - p) + v;
    if (v > WAL_RECORD_BYTES_MAX || claimed != record_n)
        return damaged(x, "its length word does not fit the record", e);
    return torn(x, e);
}

static bool record_parse(struct bytes in, struct wal_record *ret)
{
    struct pb_reader r = pb_reader_of(in);
    uint64_t type = 0, crc = 0;
    struct bytes data = BYTES_EMPTY;
    struct pb_field f;

    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.type == PB_VARINT)
            type = f.value;
        else if (f.number == 2 && f.type == PB_VARINT)
            crc = f.value;
        else if (f.number == 3 && f.type == PB_LEN)
            data = f.bytes;
        else if (f.number <= 3)
            return false;
    }
    if (r.bad || crc > UINT32_MAX || type > INT32_MAX)
        return false;
    ret->type = (enum wal_record_type) type;
    ret->crc = (uint32_t) crc;
    ret->data = data;
    return true;
}

/* What the record says about the running checksum.  NULL, or what is wrong. */
static const char *check_crc(struct wal__decoder *x, const struct wal_record *rec)
{
    uint32_t crc;

    if (rec->type == WAL_RECORD_CRC) {
        if (x->crc != 0 && rec->crc != x->crc)
            return "the running checksum differs from that of the records before it";
        x->crc = rec->crc;
        return NULL;
    }
    crc = crc32c(x->crc, rec->data.p, rec->data.n);
    if (crc != rec->crc)
        return "checksum mismatch";
    x->crc = crc;
    return NULL;
}

/* The end of the file, or zeros where the next frame would begin. */
static int at_end(struct wal__decoder *x, uint64_t left, struct err *e)
{
    const uint8_t *p = NULL;
    int rc = left == 0 ? 0 : window(x, x->off, (size_t) left, &p, e);

    if (rc != 0)
        return rc;
    for (uint64_t i = 0; i < left; i++) {
        if (p[i] != 0)
            return x->last ? torn(x, e) : damaged(x, "the file ends in a length word", e);
    }
    return WAL__END;
}

int wal__decoder_next(struct wal__decoder *x, struct wal_record *ret, struct err *e)
{
    uint64_t left = x->file_bytes - x->off, word, n, pad;
    const uint8_t *p;
    const char *bad = NULL;
    int rc;

    ASSERT(x->off <= x->file_bytes);
    if (left < 8)
        return at_end(x, left, e);
    rc = window(x, x->off, 8, &p, e);
    if (rc != 0)
        return rc;
    word = le64_get(p);
    if (word == 0)
        return WAL__END;
    n = word & ((UINT64_C(1) << 56) - 1);
    pad = word >> 63 == 0 ? 0 : word >> 56 & 7;
    if (n > left - 8 || pad > left - 8 - n)
        return overlong(x, n, e);
    if (n + pad > WAL_RECORD_BYTES_MAX)
        return damaged(x, "it is longer than any record may be", e);
    rc = window(x, x->off + 8, (size_t) (n + pad), &p, e);
    if (rc != 0)
        return rc;
    if ((n + pad) % WAL__FRAME_ALIGN != 0)
        bad = "its length is not padded to 8 bytes";
    else if (!record_parse(bytes_of(p, (size_t) n), ret))
        bad = "it is no record";
    else
        bad = check_crc(x, ret);
    if (bad != NULL)
        return bad_record(x, p, n + pad, bad, e);
    ret->segment = x->name;
    ret->offset = x->off;
    x->off += 8 + n + pad;
    return 0;
}

int wal_metadata_get(struct bytes in, struct wal_metadata *ret, struct err *e)
{
    struct pb_reader r = pb_reader_of(in);
    struct wal_metadata m = {0};
    struct pb_field f;

    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.type == PB_VARINT)
            m.node_id = f.value;
        else if (f.number == 2 && f.type == PB_VARINT)
            m.cluster_id = f.value;
    }
    if (r.bad)
        return err_set(e, ERR_CORRUPT, "malformed metadata");
    *ret = m;
    return 0;
}

int wal_snapshot_get(struct bytes in, struct arena *a, struct wal_snapshot *ret, struct err *e)
{
    struct pb_reader r = pb_reader_of(in);
    struct wal_snapshot s = {0};
    struct bytes conf = BYTES_EMPTY;
    struct pb_field f;
    int rc = 0;

    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.type == PB_VARINT)
            s.index = f.value;
        else if (f.number == 2 && f.type == PB_VARINT)
            s.term = f.value;
        else if (f.number == 3 && f.type == PB_LEN) {
            conf = f.bytes;
            s.has_conf_state = true;
        }
    }
    if (r.bad)
        return err_set(e, ERR_CORRUPT, "malformed snapshot record");
    if (s.has_conf_state)
        rc = raft_conf_state_get(conf, a, &s.conf_state, e);
    if (rc == 0)
        *ret = s;
    return rc;
}
