/* snap_fuzz.c -- arbitrary bytes as a .snap file.
 *
 * Input: one byte of choices, then the file.  Choice bit 0: the bytes are the snapshot inside, and
 * get a right checksum around them.
 *
 * Reading may refuse the file, never crash; what was read is written again and then reads as the
 * same.  As the newest snapshot a file that is refused is set aside. */
#include "base/alloc.h"
#include "base/crc32c.h"
#include "engine/snap/snap.h"
#include "lib/simdisk.h"
#include "wire/pb.h"

#define DIR "snap"
#define PATH DIR "/0000000000000002-0000000000000010.snap"
#define FILE_BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bytes wrapped(struct bytes body)
{
    uint8_t *p = xmem_alloc(body.n + 32), *q;

    q = pb_put_varint(pb_put_tag(p, 1, PB_VARINT), crc32c(0, body.p, body.n));
    q = pb_put_bytes(q, 2, body);
    return bytes_of(p, (size_t) (q - p));
}

static bool same_ids(const struct raft_ids *x, const struct raft_ids *y)
{
    return x->n == y->n && (x->n == 0 || memcmp(x->v, y->v, x->n * sizeof *x->v) == 0);
}

static void write_again(struct disk *d, const struct raft_snapshot *s, struct arena *a)
{
    struct raft_snapshot again;
    char path[128];

    snprintf(path, sizeof path, DIR "/%016" PRIx64 "-%016" PRIx64 ".snap", s->meta.term,
             s->meta.index);
    ASSERT(snap_save(d, DIR, s, NULL) == 0);
    ASSERT(snap_read(d, path, a, &again, NULL) == 0);
    ASSERT(bytes_eq(again.data, s->data));
    ASSERT(again.meta.index == s->meta.index);
    ASSERT(same_ids(&again.meta.conf_state.voters, &s->meta.conf_state.voters));
    ASSERT(same_ids(&again.meta.conf_state.learners, &s->meta.conf_state.learners));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct snap_position at = {.index = 0x10, .term = 2};
    struct simdisk *s = simdisk_new(1);
    struct disk *d = simdisk_disk(s);
    struct raft_snapshot got, newest;
    struct bytes file;
    struct arena a;
    size_t broken;
    int rc, rc_newest;

    if (size < 1 || size > FILE_BYTES_MAX) {
        simdisk_free(s);
        return 0;
    }
    file = bytes_of(data + 1, size - 1);
    if ((data[0] & 1) != 0)
        file = wrapped(file);
    simdisk_put_file(s, PATH, file.p, file.n);
    if ((data[0] & 1) != 0)
        mem_free((void *) (uintptr_t) file.p);
    arena_init(&a, (size_t) 8 << 20);
    rc = snap_read(d, PATH, &a, &got, NULL);
    rc_newest = snap_load_newest(d, DIR, &at, 1, &a, &newest, &broken, NULL);
    if (rc_newest == 0)
        ASSERT(rc == 0 && newest.meta.index == at.index && newest.meta.term == at.term);
    else
        ASSERT(rc_newest == ERR_NOT_FOUND && broken == 1 && !disk_exists(d, PATH));
    if (rc == 0 && got.meta.index > 0 && got.data.n > 0)
        write_again(d, &got, &a);
    arena_done(&a);
    simdisk_free(s);
    return 0;
}
