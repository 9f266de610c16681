/* float.c -- floating point numbers as Go's strconv reads and writes them. */
#include <ctype.h>
#include <math.h>

#include "cli/text.h"

#define DIGITS_MAX 17 /* that tell any double from its neighbours */
#define EXPONENT_MIN (-4)
#define EXPONENT_MAX 6 /* from here on with an exponent */

void text_float(struct buf *out, double v)
{
    char digits[64];
    int precision = 1;
    int exponent;

    if (isnan(v) || isinf(v)) {
        buf_add_str(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return;
    }
    do {
        snprintf(digits, sizeof(digits), "%.*e", precision - 1, v);
    } while (strtod(digits, NULL) != v && precision++ < DIGITS_MAX);
    exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent < EXPONENT_MIN || exponent >= EXPONENT_MAX)
        buf_add_str(out, digits);
    else
        buf_printf(out, "%.*f", MAX(precision - 1 - exponent, 0), v);
}

int text_parse_float(const char *s, double *ret, struct err *e)
{
    char *end;
    double v = strtod(s, &end);

    if (s[0] == 0 || isspace((unsigned char) s[0]) || *end != 0) {
        struct buf quoted;

        buf_init(&quoted, 1 << 16);
        text_quote(&quoted, bytes_str(s));
        err_set(e, ERR_INVALID, "strconv.ParseFloat: parsing %s: invalid syntax",
                buf_cstr(&quoted));
        buf_done(&quoted);
        return ERR_INVALID;
    }
    *ret = v;
    return 0;
}
