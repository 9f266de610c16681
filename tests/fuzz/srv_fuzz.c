/* srv_fuzz.c -- arbitrary bytes as an answer of DNS.  They are refused with words, or give records
 * with names, in order of priority; never a crash. */
#include "base/base.h"
#include "engine/net/srv.h"

#define INPUT_BYTES_MAX 65535

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a;
    struct net_srv_answer ans;

    if (size > INPUT_BYTES_MAX)
        return 0;
    a = arena_new((size_t) 64 << 20);
    net_srv_parse(bytes_of(data, size), a, &ans);
    ASSERT((ans.error == NULL) == (ans.n > 0));
    for (size_t i = 0; i < ans.n; i++) {
        ASSERT(strlen(ans.v[i].target) < 1025);
        ASSERT(i == 0 || ans.v[i - 1].priority <= ans.v[i].priority);
    }
    arena_free(a);
    return 0;
}
