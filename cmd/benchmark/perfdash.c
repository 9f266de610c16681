/* perfdash.c -- the report as a file for Kubernetes' performance dashboard. */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <math.h>
#include <sys/stat.h>
#include <time.h>

#include "benchmark/bench.h"

#define PATH_BYTES_MAX 4096

/* Milliseconds with at most four decimals. */
static void put_ms(struct buf *out, const char *name, const int64_t at[REPORT_PERCENTILES],
                   double percent, const char *end)
{
    char number[64];
    double ms = 0;
    size_t n;

    for (size_t i = 0; i < REPORT_PERCENTILES; i++)
        if (report_percents[i] == percent)
            ms = round((double) at[i] / 100.0) / 10000.0;
    snprintf(number, sizeof(number), "%.4f", ms);
    for (n = strlen(number); number[n - 1] == '0'; n--)
        number[n - 1] = 0;
    if (number[n - 1] == '.')
        number[n - 1] = 0;
    buf_printf(out, "        \"%s\": %s%s\n", name, number, end);
}

static void put_json(const struct report *r, const char *operation, struct buf *out)
{
    int64_t at[REPORT_PERCENTILES];

    report_percentiles(r, at);
    buf_add_str(out, "{\n  \"version\": \"v1\",\n  \"dataItems\": [\n    {\n      \"data\": {\n");
    put_ms(out, "Perc50", at, 50, ",");
    put_ms(out, "Perc90", at, 90, ",");
    put_ms(out, "Perc99", at, 99, "");
    buf_add_str(out, "      },\n      \"labels\": {\n        \"Operation\": \"");
    for (const char *p = operation; *p != 0; p++)
        buf_add_char(out, (char) toupper((unsigned char) *p));
    buf_add_str(out, "\"\n      },\n      \"unit\": \"ms\"\n    }\n  ]\n}");
}

int perfdash_write(const struct report *r, const char *operation, struct buf *out)
{
    const char *dir = getenv("ARTIFACTS");
    char path[PATH_BYTES_MAX];
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    struct buf json;
    FILE *f;
    bool ok;

    if (dir == NULL || dir[0] == 0)
        dir = "./_artifacts";
    (void) mkdir(dir, 0777); /* where it cannot be made, opening the file says why */
    gmtime_r(&now, &tm);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(path, sizeof(path), "%s/EtcdAPI_benchmark_%s_%s.json", dir, operation, stamp);
    f = fopen(path, "w");
    if (f == NULL)
        return bench_fail("open %s: %s", path, "cannot be written");
    buf_init(&json, REPORT_OUT_BYTES_MAX);
    put_json(r, operation, &json);
    ok = fwrite(json.p, 1, json.len, f) == json.len;
    ok = fclose(f) == 0 && ok;
    buf_done(&json);
    if (!ok)
        return bench_fail("write %s: no room or no permission", path);
    buf_printf(out, "Successfully created a JSON perf report at %s\n", path);
    return BENCH_OK;
}
