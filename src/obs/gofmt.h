/* gofmt.h -- durations and sizes as Go programs print them, which is what etcd's logs and errors
 * show. */
#ifndef KETCH_OBS_GOFMT_H
#define KETCH_OBS_GOFMT_H

#include "base/base.h"

#define GO_DURATION_BYTES 40
#define GO_SIZE_BYTES 32

/* time.Duration.String: "1.234567ms", "100ms", "1m0s", "0s".  Returns out. */
const char *go_duration(int64_t ns, char out[GO_DURATION_BYTES]);

/* time.ParseDuration: "300ms", "-1.5h", "2h45m".  False when malformed or out of range. */
bool go_duration_parse(const char *s, int64_t *ret_ns);

/* humanize.Bytes: decimal units, two digits below ten: "20 kB", "2.1 GB", "0 B".  Returns out. */
const char *go_size(uint64_t bytes, char out[GO_SIZE_BYTES]);

#endif
