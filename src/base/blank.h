/* blank.h -- blanks, and text without those around it.
 *
 * A blank is what isspace has for one in the C locale, whatever the process's locale is: space, \t,
 * \n, \v, \f, \r.  Go's strings.TrimSpace and strings.Fields, which etcd uses, say the same of
 * ASCII.
 */
#ifndef KETCH_BASE_BLANK_H
#define KETCH_BASE_BLANK_H

#include "base/base.h"

static inline bool byte_is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The part of `s` between the blanks around it: borrowed, as `s` is, and not NULL unless `s` is. */
static inline struct bytes bytes_trimmed(struct bytes s)
{
    while (s.n > 0 && byte_is_blank(s.p[0]))
        s = bytes_of(s.p + 1, s.n - 1);
    while (s.n > 0 && byte_is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

#endif
