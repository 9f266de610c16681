/* hash_json_fuzz.c -- arbitrary bytes as a question for, and an answer with, the hash of the keys.
 * They may be refused, never crash.  An answer that was read is written again and then reads as the
 * same. */
#include "wire/hash_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    struct hash_answer a, again;
    int64_t revision;
    struct buf b;

    if (hash_question_parse(in, &revision)) {
        buf_init(&b, 256);
        ASSERT(hash_question_put(revision, &b));
        buf_done(&b);
    }
    if (!hash_answer_parse(in, &a))
        return 0;
    buf_init(&b, 256);
    ASSERT(hash_answer_put(&a, &b));
    ASSERT(hash_answer_parse(buf_bytes(&b), &again));
    ASSERT(a.revision == again.revision);
    ASSERT(a.hash == again.hash);
    ASSERT(a.compact_revision == again.compact_revision);
    ASSERT(a.hash_revision == again.hash_revision);
    buf_done(&b);
    return 0;
}
