#include "base/base.h"
#include "engine/net/grpc_int.h"

#define TIMEOUT_DIGITS_MAX 8
#define TIMEOUT_VALUE_MAX 99999999

static const struct {
    char unit;
    int64_t ns;
} timeout_units[] = {
    {'n', 1},
    {'u', 1000},
    {'m', 1000000},
    {'S', 1000000000},
    {'M', 60 * (int64_t) 1000000000},
    {'H', 3600 * (int64_t) 1000000000},
};

static const int64_t *unit_ns(char unit)
{
    for (size_t i = 0; i < ARRAY_LEN(timeout_units); i++) {
        if (timeout_units[i].unit == unit)
            return &timeout_units[i].ns;
    }
    return NULL;
}

/* Says why s is no timeout, or nothing. */
static bool timeout_malformed(struct bytes s, char *why)
{
    const char *fault = NULL;
    int n = (int) MIN(s.n, (size_t) 64);

    if (s.n < 2)
        fault = "string is too short";
    else if (s.n > TIMEOUT_DIGITS_MAX + 1)
        fault = "string is too long";
    else if (unit_ns((char) s.p[s.n - 1]) == NULL)
        fault = "unit is not recognized";
    if (fault != NULL) {
        snprintf(why, GRPC_TIMEOUT_WHY_BYTES, "transport: timeout %s: \"%.*s\"", fault, n,
                 (const char *) s.p);
        return true;
    }
    for (size_t i = 0; i + 1 < s.n; i++) {
        if (s.p[i] >= '0' && s.p[i] <= '9')
            continue;
        snprintf(why, GRPC_TIMEOUT_WHY_BYTES, "strconv.ParseUint: parsing \"%.*s\": invalid syntax",
                 n - 1, (const char *) s.p);
        return true;
    }
    return false;
}

bool grpc_timeout_parse(struct bytes s, int64_t *ret_ns, char why[GRPC_TIMEOUT_WHY_BYTES])
{
    int64_t v = 0, ns;

    if (timeout_malformed(s, why))
        return false;
    for (size_t i = 0; i + 1 < s.n; i++)
        v = v * 10 + (s.p[i] - '0');
    ns = *unit_ns((char) s.p[s.n - 1]);
    *ret_ns = v > INT64_MAX / ns ? INT64_MAX : v * ns;
    return true;
}

void grpc_timeout_format(int64_t ns, char out[GRPC_TIMEOUT_TEXT_BYTES])
{
    size_t i = 0;
    int64_t v;

    if (ns <= 0) {
        snprintf(out, GRPC_TIMEOUT_TEXT_BYTES, "0n");
        return;
    }
    while (i + 1 < ARRAY_LEN(timeout_units) && (ns - 1) / timeout_units[i].ns >= TIMEOUT_VALUE_MAX)
        i++;
    v = (ns - 1) / timeout_units[i].ns + 1;
    snprintf(out, GRPC_TIMEOUT_TEXT_BYTES, "%" PRId64 "%c", MIN(v, TIMEOUT_VALUE_MAX),
             timeout_units[i].unit);
}

size_t grpc_percent_encode(struct bytes in, char *out)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;

    for (size_t i = 0; i < in.n; i++) {
        uint8_t b = in.p[i];

        if (b >= ' ' && b <= '~' && b != '%') {
            out[n++] = (char) b;
            continue;
        }
        out[n++] = '%';
        out[n++] = hex[b >> 4];
        out[n++] = hex[b & 15];
    }
    return n;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t grpc_percent_decode(struct bytes in, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] == '%' && i + 2 < in.n && hex_value(in.p[i + 1]) >= 0 &&
            hex_value(in.p[i + 2]) >= 0) {
            out[n++] = (char) (hex_value(in.p[i + 1]) << 4 | hex_value(in.p[i + 2]));
            i += 2;
        } else {
            out[n++] = (char) in.p[i];
        }
    }
    return n;
}

bool grpc_content_type(struct bytes s)
{
    static const char base[] = "application/grpc";
    size_t n = sizeof base - 1;

    if (s.n < n)
        return false;
    if (s.n == n && memcmp(s.p, base, n) == 0)
        return true;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = s.p[i];

        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != base[i])
            return false;
    }
    return s.n == n || s.p[n] == '+' || s.p[n] == ';';
}

enum grpc_status grpc_status_of_http(int http_status)
{
    switch (http_status) {
    case 400:
        return GRPC_STATUS_INTERNAL;
    case 401:
        return GRPC_STATUS_UNAUTHENTICATED;
    case 403:
        return GRPC_STATUS_PERMISSION_DENIED;
    case 404:
        return GRPC_STATUS_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_STATUS_UNAVAILABLE;
    default:
        return GRPC_STATUS_UNKNOWN;
    }
}

/* RFC 9113 7, in the order of their numbers. */
static const char *const http2_errors[] = {
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
};

enum {
    REFUSED_STREAM = 7,
    CANCEL = 8,
    ENHANCE_YOUR_CALM = 11,
    INADEQUATE_SECURITY = 12,
};

enum grpc_status grpc_status_of_reset(uint32_t http2_error)
{
    switch (http2_error) {
    case REFUSED_STREAM:
        return GRPC_STATUS_UNAVAILABLE;
    case CANCEL:
        return GRPC_STATUS_CANCELED;
    case ENHANCE_YOUR_CALM:
        return GRPC_STATUS_RESOURCE_EXHAUSTED;
    case INADEQUATE_SECURITY:
        return GRPC_STATUS_PERMISSION_DENIED;
    default:
        return GRPC_STATUS_INTERNAL;
    }
}

const char *http2_error_name(uint32_t http2_error)
{
    return http2_error < ARRAY_LEN(http2_errors) ? http2_errors[http2_error] : "unknown error code";
}
