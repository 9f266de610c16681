/* load.h -- puts of keys drawn at random: what the check commands measure.
 *
 * A client, in the words of these commands, is one put under way; they share LOAD_CONNECTIONS_MAX
 * connections.  At most `rate` puts a second begin, evenly; a delay is not made good by a burst.
 * The time of a put counts from when it is sent.
 */
#ifndef KETCH_CMD_ETCDCTL_LOAD_H
#define KETCH_CMD_ETCDCTL_LOAD_H

#include "cli/progress.h"
#include "etcdctl/ctl.h"

#define LOAD_CONNECTIONS_MAX 64
#define LOAD_ERRORS_MAX 32 /* texts that are told apart */

struct load_error {
    char text[256];
    uint64_t count;
};

struct load {
    /* What is wanted. */
    struct ctl *ctl; /* its client is the first connection */
    const char *prefix;
    size_t key_bytes; /* behind the prefix */
    size_t value_bytes;
    size_t clients;
    uint64_t rate; /* a second; 0: as fast as they are answered */
    uint64_t puts; /* so many; 0: until the time is over */
    int64_t duration_ms;

    /* What came of it. */
    uint64_t done; /* without an error */
    double seconds;
    double slowest; /* seconds */
    double mean;
    double squares; /* of the differences from the mean, summed (Welford) */
    struct load_error errors[LOAD_ERRORS_MAX];
    size_t error_count;

    /* While it runs. */
    struct ketch_client *conns[LOAD_CONNECTIONS_MAX];
    size_t conn_count;
    uint8_t *key;
    uint8_t *value;
    uint64_t begun;
    size_t under_way;
    int64_t began_ns;
    int64_t next_ns; /* when the next put may begin */
    bool ticking;
    bool over;
    struct progress progress;
};

/* Runs the load; SIGINT ends it early, as if its time were over.  The words of a failure to connect
 * are on stderr. */
NODISCARD int load_run(struct load *l);

double load_stddev(const struct load *l);

#endif
