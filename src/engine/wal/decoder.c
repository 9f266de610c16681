#include "base/alloc.h"
#include "base/crc32c.h"
#include "engine/wal/wal_int.h"
#include "wire/pb.h"

#define READ_BYTES 262144 /* asked of the disk at once */
/* A record up to its data: type, checksum of 32 bits, length of less than 2^31, with a tag each. */
#define RECORD_HEAD_BYTES_MAX (2 + 6 + 6)

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
    ASSERT(f != NULL);
    ASSERT(name != NULL);
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
    ASSERT(want >= n);
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

/* Does the record's own head (type, checksum, length of the data) agree with the length word?  Both
 * were written together: where they differ one of them is damaged, and it would be wrong to throw
 * away, as a torn tail, all that seems to be inside the record.  True also where the head is not
 * there to be asked: its sector is missing, or the file ends in it.  `avail` bytes at p are in the
 * file; p is at file offset `at`. */
static bool head_agrees(const uint8_t *p, uint64_t avail, uint64_t at, uint64_t record_n)
{
    size_t n = (size_t) MIN(avail, RECORD_HEAD_BYTES_MAX);
    struct pb_reader r = pb_reader_of(bytes_of(p, n));
    uint64_t tag, v;

    if (has_zero_sector(p, n, at))
        return true;
    for (uint32_t field = 0; field < 3;) {
        if ((uint64_t) (r.p - p) == record_n)
            return true; /* no data: a checksum record */
        if (!pb_get_varint(&r, &tag) || !pb_get_varint(&r, &v))
            return avail < RECORD_HEAD_BYTES_MAX;
        if (tag >> 3 <= field || tag >> 3 > 3 || (tag & 7) != (tag >> 3 == 3 ? PB_LEN : PB_VARINT))
            return false;
        field = (uint32_t) (tag >> 3);
    }
    return v <= WAL_RECORD_BYTES_MAX && (uint64_t) (r.p - p) + v == record_n;
}

/* A frame that is all there but does not hold a good record. */
static int bad_record(const struct wal__decoder *x, const uint8_t *p, uint64_t n, uint64_t pad,
                      const char *what, struct err *e)
{
    if (x->last && has_zero_sector(p, n + pad, x->off + 8) && head_agrees(p, n, x->off + 8, n))
        return torn(x, e);
    return damaged(x, what, e);
}

/* A frame that claims to be longer than the file. */
static int overlong(struct wal__decoder *x, uint64_t record_n, struct err *e)
{
    uint64_t left = x->file_bytes - x->off - 8;
    const uint8_t *p;
    int rc;

    ASSERT(x->off + 8 <= x->file_bytes);
    if (!x->last)
        return damaged(x, "it reaches beyond the end of the file", e);
    rc = window(x, x->off + 8, (size_t) MIN(left, RECORD_HEAD_BYTES_MAX), &p, e);
    if (rc != 0)
        return rc;
    if (!head_agrees(p, left, x->off + 8, record_n))
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
    ASSERT(rec->data.n == 0 || rec->data.p != NULL);
    crc = crc32c(x->crc, rec->data.p, rec->data.n);
    if (crc != rec->crc)
        return "checksum mismatch";
    x->crc = crc;
    return NULL;
}

/* Whether only the checksum is wrong, and that is to be passed over.  The record's data count in
 * what follows, so that a damaged checksum is one wrong record and damaged data are a run of them.
 */
static bool passes(struct wal__decoder *x, struct wal_record *rec, const char *bad, int rc)
{
    if (!x->lenient || bad == NULL || rc != ERR_CORRUPT)
        return false;
    rec->crc_differs = rec->type != WAL_RECORD_CRC; /* there a new count begins */
    x->crc = rec->crc_differs ? crc32c(x->crc, rec->data.p, rec->data.n) : rec->crc;
    return true;
}

/* The end of the file, or zeros where the next frame would begin.  Zeros must then follow to the
 * end of the sector: a length word that alone became zero would hide all records behind it. */
static int at_end(struct wal__decoder *x, uint64_t left, struct err *e)
{
    uint64_t n = MIN(left, WAL__SECTOR_BYTES - x->off % WAL__SECTOR_BYTES);
    const uint8_t *p = NULL;
    int rc = n == 0 ? 0 : window(x, x->off, (size_t) n, &p, e);

    ASSERT(n <= WAL__SECTOR_BYTES);
    if (rc != 0)
        return rc;
    for (uint64_t i = 0; i < n; i++) {
        if (p[i] == 0)
            continue;
        if (x->last && left < 8)
            return torn(x, e);
        return damaged(x, left < 8 ? "the file ends in a length word" : "its length word is zero",
                       e);
    }
    return WAL__END;
}

int wal__decoder_next(struct wal__decoder *x, struct wal_record *ret, struct err *e)
{
    uint64_t left = x->file_bytes - x->off, word, n, pad;
    const uint8_t *p;
    const char *bad = NULL, *bad_crc = NULL;
    int rc;

    ASSERT(x->off <= x->file_bytes);
    if (left < 8)
        return at_end(x, left, e);
    rc = window(x, x->off, 8, &p, e);
    if (rc != 0)
        return rc;
    word = le64_get(p);
    if (word == 0)
        return at_end(x, left, e);
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
        bad = bad_crc = check_crc(x, ret);
    ret->crc_differs = false;
    if (bad != NULL)
        rc = bad_record(x, p, n, pad, bad, e);
    if (rc != 0 && !passes(x, ret, bad_crc, rc))
        return rc;
    ret->segment = x->name;
    ret->offset = x->off;
    x->off += 8 + n + pad;
    ASSERT(x->off % WAL__FRAME_ALIGN == 0);
    ASSERT(x->off <= x->file_bytes);
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
