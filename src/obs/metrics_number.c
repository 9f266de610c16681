/* Numbers as Go's strconv writes them with 'g' and the shortest precision: the fewest digits that
 * read back as the same double.
 *
 * Nearly all numbers of a page are whole ones below 2^53, or such a one over a power of ten.  Their
 * digits are those of the whole number, by two facts of IEEE 754 doubles: decimals of at most 15
 * digits are told apart by the doubles nearest to them, so that one which reads back is the only
 * one that short; and a quotient of two exact doubles is the double nearest to the true one, so
 * that "n / 10^k == v" proves that "n e-k" reads back.  The C library works out the rest. */
#include <math.h>

#include "obs/metrics_int.h"

#define DIGITS_SURE 15               /* as many digits tell doubles apart */
#define DIGITS_ENOUGH 17             /* no double needs more */
#define WHOLE_MAX 9007199254740992.0 /* 2^53: the doubles below are whole numbers as they stand */
#define SURE_MAX 1e15                /* that many digits */

/* strconv's 'g' with the shortest precision goes over to exponents at these two ends. */
#define EXPONENT_MIN (-4)
#define EXPONENT_END 6
#define POINT_MAX 1e6 /* 10^EXPONENT_END */

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* The digits of n without a NUL.  Returns how many. */
static int put_digits(uint64_t n, char *out)
{
    char reversed[20];
    int digits = 0;

    do {
        reversed[digits++] = (char) ('0' + n % 10);
        n /= 10;
    } while (n != 0);
    for (int i = 0; i < digits; i++)
        out[i] = reversed[digits - 1 - i];
    return digits;
}

static char *fill(char *out, char c, int n)
{
    for (int i = 0; i < n; i++)
        *out++ = c;
    return out;
}

static char *copy(char *out, const char *p, int n)
{
    memcpy(out, p, (size_t) n);
    return out + n;
}

/* 'd' or 'd.ddd', 'e', a sign and two digits at least. */
static char *put_with_exponent(const char *digits, int n, int exponent, char *out)
{
    *out++ = digits[0];
    if (n > 1) {
        *out++ = '.';
        out = copy(out, digits + 1, n - 1);
    }
    *out++ = 'e';
    *out++ = exponent < 0 ? '-' : '+';
    exponent = exponent < 0 ? -exponent : exponent;
    if (exponent < 10)
        *out++ = '0';
    return out + put_digits((uint64_t) exponent, out);
}

/* d.ddd * 10^exponent as it is to be shown; `digits` has neither a zero at its end (but for "0"
 * itself) nor a point. */
static char *put_decimal(const char *digits, int n, int exponent, char *out)
{
    ASSERT(n >= 1);
    ASSERT(n <= DIGITS_ENOUGH);
    if (exponent < EXPONENT_MIN || exponent >= EXPONENT_END)
        return put_with_exponent(digits, n, exponent, out);
    if (exponent < 0) {
        out = copy(out, "0.", 2);
        out = fill(out, '0', -exponent - 1);
        return copy(out, digits, n);
    }
    if (n <= exponent + 1)
        return fill(copy(out, digits, n), '0', exponent + 1 - n);
    out = copy(out, digits, exponent + 1);
    *out++ = '.';
    return copy(out, digits + exponent + 1, n - exponent - 1);
}

/* n * 10^-scale, of DIGITS_ENOUGH digits at most. */
static char *put_scaled(uint64_t n, int scale, char *out)
{
    char digits[20];
    int all = put_digits(n, digits), shown = all;

    while (shown > 1 && digits[shown - 1] == '0')
        shown--;
    return put_decimal(digits, shown, all - 1 - scale, out);
}

/* The digits of v, which is no whole number below 2^53, when there are few.  NULL: they are many.
 */
static char *put_few_digits(double v, char *out)
{
    for (size_t k = 0; k < ARRAY_LEN(powers) && v * powers[k] < SURE_MAX; k++) {
        uint64_t n = (uint64_t) (v * powers[k] + 0.5);

        if ((double) n / powers[k] == v)
            return put_scaled(n, (int) k, out);
    }
    return NULL;
}

/* Any other number.  Below the normal doubles even few digits need not tell two apart. */
static char *put_any(double v, char *out)
{
    char text[METRIC_NUMBER_BYTES], digits[DIGITS_ENOUGH];
    int n = 0;

    for (int want = fpclassify(v) == FP_NORMAL ? DIGITS_SURE : 1; want <= DIGITS_ENOUGH; want++) {
        snprintf(text, sizeof text, "%.*e", want - 1, v);
        if (strtod(text, NULL) == v) /* exact on purpose */
            break;
    }
    for (const char *p = text; *p != 'e'; p++)
        if (*p != '.')
            digits[n++] = *p;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return put_decimal(digits, n, (int) strtol(strchr(text, 'e') + 1, NULL, 10), out);
}

char *metric__put_number(double v, char *out)
{
    char *end;

    if (isnan(v))
        return copy(out, "NaN", 3);
    if (signbit(v))
        *out++ = '-';
    else if (isinf(v))
        *out++ = '+';
    if (isinf(v))
        return copy(out, "Inf", 3);
    v = fabs(v);
    if (v < POINT_MAX && v == (double) (uint32_t) v)
        return out + put_digits((uint32_t) v, out);
    if (v < WHOLE_MAX && v == (double) (uint64_t) v)
        return put_scaled((uint64_t) v, 0, out);
    end = put_few_digits(v, out);
    return end == NULL ? put_any(v, out) : end;
}

void metric_number(double v, char out[METRIC_NUMBER_BYTES])
{
    *metric__put_number(v, out) = 0;
}
