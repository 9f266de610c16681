/* store_model.h -- what etcd's key space does, in a few lines, for small key spaces.
 *
 * A state is the revision and a row of keys, numbered instead of named.  An operation is run on a
 * state and gives the words of its answer; whoever has the real answer in the same words compares.
 *
 * Revisions are total: every write that changes something has the next one, and every answer tells
 * at which it holds.  So a whole store is a cheaper model than one of each key would be: an answer
 * fits a single state of the search only.  Nor would a model for each key be sound, for
 * transactions and ranges touch several keys at once.
 */
#ifndef KETCH_TESTS_SIM_STORE_MODEL_H
#define KETCH_TESTS_SIM_STORE_MODEL_H

#include "base/base.h"

#define MODEL_KEYS 12
#define MODEL_STEPS_MAX 3
#define MODEL_COMPARES_MAX 2

struct model_kv {
    int64_t create; /* 0: there is no such key */
    int64_t mod;
    int64_t version;
    uint64_t value;
    int64_t lease;
};

struct model_state {
    int64_t revision;
    struct model_kv keys[MODEL_KEYS];
};

/* A row of numbers that grows. */
struct words {
    uint64_t *v;
    size_t n;
    size_t cap;
};

void words_add(struct words *w, uint64_t x);
void words_done(struct words *w);
bool words_eq(const struct words *a, const struct words *b);

enum model_kind { MODEL_RANGE, MODEL_PUT, MODEL_DELETE };

/* Keys [lo, hi); a put writes `lo`. */
struct model_step {
    enum model_kind kind;
    unsigned lo, hi;
    uint64_t value;
    int64_t lease;
    bool prev_kv;
    bool keys_only;
    int64_t limit; /* 0: none */
};

enum model_target { MODEL_VERSION, MODEL_CREATE, MODEL_MOD, MODEL_VALUE, MODEL_LEASE }; /* etcd's */
enum model_relation { MODEL_EQUAL, MODEL_GREATER, MODEL_LESS, MODEL_NOT_EQUAL }; /* likewise */

struct model_compare {
    enum model_target target;
    enum model_relation relation;
    unsigned key;
    int64_t operand;
};

enum model_form { MODEL_PLAIN, MODEL_TXN, MODEL_REVOKE };

struct model_op {
    enum model_form form;
    struct model_compare compares[MODEL_COMPARES_MAX];
    size_t compares_n;
    struct model_step then[MODEL_STEPS_MAX], other[MODEL_STEPS_MAX]; /* PLAIN: then[0] alone */
    size_t then_n, other_n;
    int64_t lease; /* REVOKE: all keys on it go */
};

/* Runs the operation; `out` (NULL: not wanted) gets the words of its answer:
 *   PLAIN    revision, answer
 *   TXN      revision, succeeded, kind and answer of each step
 *   REVOKE   revision
 *
 * answers:
 *   range    count, more, number of kvs, kvs
 *   put      1 and the pair before it, or 0 (also when it was not asked for)
 *   delete   how many, number of kvs, kvs before it
 *
 * a kv: key, create, mod, version, value, lease */
void model_run(struct model_state *s, const struct model_op *op, struct words *out);

/* Whether it can change anything at all. */
bool model_writes(const struct model_op *op);

void model_kv_words(struct words *out, unsigned key, const struct model_kv *kv, bool keys_only);

/* For messages: "txn [mod k03 = 7] put k01=55; delete k02..k05 | get k01". */
void model_text(const struct model_op *op, char *ret, size_t n);

#endif
