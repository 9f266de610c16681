#include "sys/digest.h"

#include <openssl/evp.h>

#include "base/alloc.h"

static void whole(const EVP_MD *kind, const void *p, size_t n, uint8_t *ret)
{
    if (EVP_Digest(p, n, ret, NULL, kind, NULL) != 1)
        assert_fail(__FILE__, __LINE__, "the digest is available");
}

void sha1(const void *p, size_t n, uint8_t ret[SHA1_BYTES])
{
    whole(EVP_sha1(), p, n, ret);
}

void sha256(const void *p, size_t n, uint8_t ret[SHA256_BYTES])
{
    whole(EVP_sha256(), p, n, ret);
}

struct digest {
    EVP_MD_CTX *ctx;
};

struct digest *digest_sha256_new(void)
{
    struct digest *d = mem_calloc(1, sizeof *d);

    if (d == NULL)
        return NULL;
    d->ctx = EVP_MD_CTX_new();
    if (d->ctx == NULL || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1) {
        digest_free(d);
        return NULL;
    }
    return d;
}

void digest_add(struct digest *d, const void *p, size_t n)
{
    if (EVP_DigestUpdate(d->ctx, p, n) != 1)
        assert_fail(__FILE__, __LINE__, "a running digest takes bytes");
}

void digest_end(struct digest *d, uint8_t ret[SHA256_BYTES])
{
    unsigned n = 0;

    if (EVP_DigestFinal_ex(d->ctx, ret, &n) != 1 || n != SHA256_BYTES)
        assert_fail(__FILE__, __LINE__, "a running digest ends");
    digest_free(d);
}

void digest_free(struct digest *d)
{
    if (d == NULL)
        return;
    EVP_MD_CTX_free(d->ctx);
    mem_free(d);
}
