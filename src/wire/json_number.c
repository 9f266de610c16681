/* json_number.c -- whole numbers in every form of JSON, as Go's protojson takes them. */
#include "wire/json_int.h"

#define DIGITS_MAX 20 /* of the largest 64-bit number */

struct number {
    bool negative;
    struct bytes whole; /* without a leading zero */
    struct bytes fraction;
    int exponent;
};

static struct bytes digits_at(struct bytes s, size_t at)
{
    size_t n = 0;

    while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
        n++;
    return bytes_of(s.p + at, n);
}

/* "e", a sign, digits.  False: what follows is none, or out of all bounds. */
static bool exponent_at(struct bytes s, size_t *at, int *ret)
{
    size_t i = *at;
    bool minus;
    struct bytes d;

    if (i + 1 >= s.n || (s.p[i] | 0x20) != 'e')
        return true;
    i++;
    minus = s.p[i] == '-';
    if (s.p[i] == '-' || s.p[i] == '+')
        i++;
    d = digits_at(s, i);
    if (d.n > 9 || (d.n == 0 && i > *at + 1))
        return false;
    for (size_t k = 0; k < d.n; k++)
        *ret = *ret * 10 + (d.p[k] - '0');
    if (minus)
        *ret = -*ret;
    *at = i + d.n;
    return true;
}

/* What may not stand right behind a number. */
static bool part_of_word(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
           c == '+' || c == '.' || c == '_';
}

static bool number_of(struct bytes s, struct number *ret)
{
    size_t at = 0;

    *ret = (struct number){.negative = s.n > 0 && s.p[0] == '-'};
    at += ret->negative;
    ret->whole = digits_at(s, at);
    if (ret->whole.n == 0)
        return false;
    if (ret->whole.p[0] == '0')
        ret->whole.n = 1;
    at += ret->whole.n;
    if (ret->whole.p[0] == '0')
        ret->whole.n = 0;
    if (at < s.n && s.p[at] == '.') {
        ret->fraction = digits_at(s, at + 1);
        if (ret->fraction.n == 0)
            return false;
        at += 1 + ret->fraction.n;
        while (ret->fraction.n > 0 && ret->fraction.p[ret->fraction.n - 1] == '0')
            ret->fraction.n--;
    }
    if (!exponent_at(s, &at, &ret->exponent))
        return false;
    return at == s.n || !part_of_word(s.p[at]);
}

/* Moves the point by the exponent.  False: a fraction is left, or there are too many digits. */
static bool whole_digits(const struct number *n, char out[DIGITS_MAX], size_t *ret_n)
{
    size_t keep = n->whole.n;

    if (n->exponent < 0) {
        if (n->fraction.n > 0 || (size_t) -n->exponent >= keep)
            return false;
        keep -= (size_t) -n->exponent;
        for (size_t i = keep; i < n->whole.n; i++) {
            if (n->whole.p[i] != '0')
                return false;
        }
    } else if (n->fraction.n > (size_t) n->exponent || keep + (size_t) n->exponent > DIGITS_MAX) {
        return false;
    }
    if (keep > DIGITS_MAX)
        return false;
    memcpy(out, n->whole.p, keep);
    *ret_n = keep;
    if (n->exponent <= 0)
        return true;
    memset(out + keep, '0', (size_t) n->exponent);
    if (n->fraction.n > 0)
        memcpy(out + keep, n->fraction.p, n->fraction.n);
    *ret_n = keep + (size_t) n->exponent;
    return true;
}

static bool value_of(const char *digits, size_t n, uint64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned) (digits[i] - '0');

        if (*ret > (UINT64_MAX - d) / 10)
            return false;
        *ret = *ret * 10 + d;
    }
    return true;
}

bool json__integer(struct bytes text, unsigned bits, bool is_signed, uint64_t *ret)
{
    uint64_t top = (uint64_t) 1 << (bits - 1), v;
    char digits[DIGITS_MAX];
    struct number n;
    size_t digits_n;

    if (!number_of(text, &n))
        return false;
    if (n.whole.n == 0 && n.fraction.n == 0) {
        *ret = 0;
        return true;
    }
    if (!whole_digits(&n, digits, &digits_n) || !value_of(digits, digits_n, &v))
        return false;
    if (n.negative ? !is_signed || v > top : v > (is_signed ? top - 1 : top - 1 + top))
        return false;
    *ret = n.negative ? 0 - v : v;
    return true;
}
