/* A transaction request of any bytes is decoded and checked within the arena's bounds. */
#include "node/node.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Etcdserverpb__TxnRequest *q;
    enum api_error err = API_OK;
    struct arena a;

    arena_init(&a, 1u << 24);
    if (WIRE_DECODE(etcdserverpb__txn_request, bytes_of(data, n), &a, &q, NULL) == 0 &&
        mvcc_check_txn(q, 128, &a, &err) == 0 && err == API_OK) {
        uint64_t cost = mvcc_txn_cost(q);

        if (mvcc_txn_is_read_only(q))
            ASSERT(cost == 0);
        ASSERT(q->n_success <= 128 && q->n_failure <= 128);
    }
    arena_done(&a);
    return 0;
}
