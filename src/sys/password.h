/* password.h -- bcrypt: what is kept of a password, and whether a password fits it.
 *
 * Both take as long as the cost says (10: some 50 ms), on purpose: call them where nobody waits.
 * A password ends at its first NUL.  Source: Provos and Mazieres, "A Future-Adaptable Password
 * Scheme", 1999; libxcrypt does the work.
 *
 * Threads: any.   Memory: what held the password here is wiped, the caller's own copy is the
 * caller's.
 */
#ifndef KETCH_SYS_PASSWORD_H
#define KETCH_SYS_PASSWORD_H

#include "base/base.h"

#define PASSWORD_BYTES_MAX 72  /* more is refused: bcrypt would not look at it */
#define PASSWORD_HASH_BYTES 60 /* "$2a$10$", 22 digits of salt, 31 of hash */
#define PASSWORD_SALT_BYTES 16
#define PASSWORD_COST_MIN 4
#define PASSWORD_COST_MAX 31
#define PASSWORD_COST_DEFAULT 10

/* A hash that etcd reads, "$2a$" and a NUL behind it.  `salt` comes from the source of chance.
 * False without memory, or when cost or password are out of range. */
bool password_hash(const char *password, unsigned cost, const uint8_t salt[PASSWORD_SALT_BYTES],
                   char ret[PASSWORD_HASH_BYTES + 1]);

/* False, too, when `hash` is none of $2a$, $2b$ and $2y$, and without memory. */
bool password_fits(const char *password, struct bytes hash);

/* Zeroes that no compiler leaves out. */
void secret_wipe(void *p, size_t n);

#endif
