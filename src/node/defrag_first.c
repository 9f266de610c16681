/* defrag_first.c -- --bootstrap-defrag-threshold-megabytes: a data file with much unused room is
 * written anew before the member serves. */
#include "node/open.h"
#include "obs/gofmt.h"

#define STEP_RECORDS 10000

static void log_skipped(struct node *n, uint64_t bytes, uint64_t in_use)
{
    uint64_t threshold = n->cfg.defrag_first_bytes;
    char text[3][GO_SIZE_BYTES];

    LOG_INFO(n->env.log, "Skipping defragmentation", F_U64("current-db-size-bytes", bytes),
             F_STR("current-db-size", go_size(bytes, text[0])),
             F_U64("current-db-size-in-use-bytes", in_use),
             F_STR("current-db-size-in-use", go_size(in_use, text[1])),
             F_U64("bootstrap-defrag-threshold-bytes", threshold),
             F_STR("bootstrap-defrag-threshold", go_size(threshold, text[2])));
}

static int copy_all(struct store *s, struct err *e)
{
    struct store_defrag *d = NULL;
    bool done = false;
    int rc = store_defrag_begin(s, &d, e);

    while (rc == 0 && !done)
        rc = store_defrag_step(d, STEP_RECORDS, &done, e);
    if (d != NULL)
        store_defrag_end(d);
    return rc;
}

int node__defrag_first(struct node *n, struct err *e)
{
    struct store *s = n->apply.store;
    uint64_t bytes = store_db_size(s), in_use = store_db_size_in_use(s);
    int rc;

    if (n->cfg.defrag_first_bytes == 0)
        return 0;
    if (bytes - in_use < n->cfg.defrag_first_bytes) {
        log_skipped(n, bytes, in_use);
        return 0;
    }
    LOG_INFO(n->env.log, "defragmenting", F_STR("path", n->db_path),
             F_U64("current-db-size-bytes", bytes), F_U64("current-db-size-in-use-bytes", in_use));
    rc = copy_all(s, e);
    if (rc != 0)
        return err_wrap(e, rc, "defragment %s before the start", n->db_path);
    LOG_INFO(n->env.log, "finished defragmenting directory", F_STR("path", n->db_path),
             F_U64("current-db-size-bytes", store_db_size(s)),
             F_U64("current-db-size-in-use-bytes", store_db_size_in_use(s)));
    return 0;
}
