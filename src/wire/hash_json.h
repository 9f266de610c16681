/* hash_json.h -- what members say to one another about the hash of their keys (GET
 * /members/hashkv): JSON both ways, as etcd's corrupt.go writes and reads it.
 *
 *      {"revision":53}
 *      {"header":{"revision":53},"hash":3815929416,"compact_revision":4,"hash_revision":53}
 *
 * What is zero is left out; names are taken in any case, unknown ones are passed over.
 *
 * Threads: any.   Memory: nothing is kept.
 */
#ifndef KETCH_WIRE_HASH_JSON_H
#define KETCH_WIRE_HASH_JSON_H

#include "base/buf.h"

#define HASH_JSON_BYTES_MAX ((size_t) 64 << 10) /* of either */

struct hash_answer {
    int64_t revision; /* the newest of who answers */
    uint32_t hash;
    int64_t compact_revision;
    int64_t hash_revision; /* 0: a 3.5 does not say */
};

/* Of a question; 0 when it names none.  False: this is no question, or longer than
 * HASH_JSON_BYTES_MAX, or there was no memory; likewise of an answer. */
bool hash_question_parse(struct bytes in, int64_t *ret_revision);
/* False when the buffer refuses; likewise below. */
bool hash_question_put(int64_t revision, struct buf *out);

bool hash_answer_parse(struct bytes in, struct hash_answer *ret);
bool hash_answer_put(const struct hash_answer *a, struct buf *out);

#endif
