/* json_base64.c -- bytes out of base64 in either alphabet, as Go's protojson takes them. */
#include "wire/json_int.h"

static int sextet(uint8_t c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    return c == (url ? '_' : '/') ? 63 : -1;
}

bool json__base64(struct bytes text, uint8_t *out, size_t *ret_n)
{
    bool padded = text.n % 4 == 0, url = false;
    size_t have = 0, pads = 0, n = 0;
    uint32_t bits = 0;

    for (size_t i = 0; i < text.n && !url; i++)
        url = text.p[i] == '-' || text.p[i] == '_';
    for (size_t i = 0; i < text.n; i++) {
        int v = sextet(text.p[i], url);

        if (text.p[i] == '\r' || text.p[i] == '\n')
            continue; /* Go's decoder passes over line ends */
        if (text.p[i] == '=' && padded && have >= 2 && have + pads < 4) {
            pads++;
            continue;
        }
        if (v < 0 || pads > 0)
            return false;
        bits = bits << 6 | (uint32_t) v;
        if (++have < 4)
            continue;
        if (out != NULL) {
            out[n] = (uint8_t) (bits >> 16);
            out[n + 1] = (uint8_t) (bits >> 8);
            out[n + 2] = (uint8_t) bits;
        }
        n += 3;
        have = 0;
        bits = 0;
    }
    if (have == 1 || (padded && have > 0 && have + pads != 4))
        return false;
    if (have >= 2) {
        bits <<= 6 * (4 - have);
        if (out != NULL)
            out[n] = (uint8_t) (bits >> 16);
        if (out != NULL && have == 3)
            out[n + 1] = (uint8_t) (bits >> 8);
        n += have - 1;
    }
    *ret_n = n;
    return true;
}
