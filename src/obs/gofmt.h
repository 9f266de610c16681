/* gofmt.h -- durations and sizes as Go programs print them, which is what etcd's logs and errors
 * show.  Sources: Go's time.Duration.String and time.ParseDuration; dustin/go-humanize, Bytes.
 *
 * Threads: any.   Memory: texts go to the caller's array.
 */
#ifndef KETCH_OBS_GOFMT_H
#define KETCH_OBS_GOFMT_H

#include "base/base.h"

#define GO_DURATION_BYTES 40
#define GO_SIZE_BYTES 32

/* time.Duration.String: "1.234567ms", "100ms", "1m0s", "0s".  Returns out. */
const char *go_duration(int64_t ns, char out[GO_DURATION_BYTES]);

enum go_duration_fault {
    GO_DURATION_GOOD,
    GO_DURATION_INVALID,      /* malformed or out of range: `time: invalid duration "x"` */
    GO_DURATION_NO_UNIT,      /* `time: missing unit in duration "1"` */
    GO_DURATION_UNKNOWN_UNIT, /* `time: unknown unit "y" in duration "1y"` */
};

/* time.ParseDuration: "300ms", "-1.5h", "2h45m", "0".  *ret_ns is written for a good one only,
 * *ret_unit, within `s`, for one whose unit is not known. */
enum go_duration_fault go_duration_read(const char *s, int64_t *ret_ns, struct bytes *ret_unit);

/* The same for who does not ask what is wrong. */
bool go_duration_parse(const char *s, int64_t *ret_ns);

/* humanize.Bytes: decimal units, two digits below ten: "20 kB", "2.1 GB", "0 B".  Returns out. */
const char *go_size(uint64_t bytes, char out[GO_SIZE_BYTES]);

#endif
