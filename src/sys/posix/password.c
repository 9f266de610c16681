#define _GNU_SOURCE
#include "sys/password.h"

#include <crypt.h>

#include "base/alloc.h"

/* libxcrypt's $2a$ differs from everybody's in one respect: it guards against a flaw of a program
 * of 2011 and hashes a few passwords otherwise.  Its $2b$ is what etcd calls $2a$; the digits are
 * the same. */
#define PREFIX_THEIRS "$2b$"
#define PREFIX_LETTER 2

void secret_wipe(void *p, size_t n)
{
    explicit_bzero(p, n);
}

/* The hash by `setting`; false when the library refuses. */
static bool hash_by(const char *password, const char *setting, char ret[PASSWORD_HASH_BYTES + 1])
{
    struct crypt_data *mem = mem_calloc(1, sizeof *mem);
    const char *got = mem == NULL ? NULL : crypt_rn(password, setting, mem, (int) sizeof *mem);
    bool ok = got != NULL && strlen(got) == PASSWORD_HASH_BYTES;

    if (ok)
        memcpy(ret, got, PASSWORD_HASH_BYTES + 1);
    if (mem != NULL)
        explicit_bzero(mem, sizeof *mem);
    mem_free(mem);
    return ok;
}

bool password_hash(const char *password, unsigned cost, const uint8_t salt[PASSWORD_SALT_BYTES],
                   char ret[PASSWORD_HASH_BYTES + 1])
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];

    if (cost < PASSWORD_COST_MIN || cost > PASSWORD_COST_MAX ||
        strlen(password) > PASSWORD_BYTES_MAX)
        return false;
    if (crypt_gensalt_rn(PREFIX_THEIRS, cost, (const char *) salt, PASSWORD_SALT_BYTES, setting,
                         (int) sizeof setting) == NULL ||
        !hash_by(password, setting, ret))
        return false;
    ret[PREFIX_LETTER] = 'a';
    return true;
}

/* As long for a wrong hash as for a right one. */
static bool same(const char *a, const uint8_t *b, size_t n)
{
    unsigned diff = 0;

    for (size_t i = 0; i < n; i++)
        diff |= (unsigned) ((uint8_t) a[i] ^ b[i]);
    return diff == 0;
}

bool password_fits(const char *password, struct bytes hash)
{
    char setting[PASSWORD_HASH_BYTES + 1], got[PASSWORD_HASH_BYTES + 1];

    if (hash.n != PASSWORD_HASH_BYTES || memcmp(hash.p, "$2", 2) != 0 || hash.p[3] != '$' ||
        memchr("aby", hash.p[PREFIX_LETTER], 3) == NULL)
        return false;
    memcpy(setting, hash.p, hash.n);
    setting[hash.n] = 0;
    setting[PREFIX_LETTER] = 'b';
    return hash_by(password, setting, got) &&
           same(got + PREFIX_LETTER + 1, hash.p + PREFIX_LETTER + 1,
                PASSWORD_HASH_BYTES - PREFIX_LETTER - 1);
}
