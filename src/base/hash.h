/* hash.h -- SipHash-1-3: a keyed hash of bytes, for tables whose keys a client chooses.
 *
 * With a secret key nobody can choose strings that collide.  The key comes from the process's
 * random source (from the seed, in a simulation), so that the core itself stays deterministic.
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; one compression and
 * three finalization rounds, as in Rust's and Python's dictionaries.
 *
 * Threads: any.
 */
#ifndef KETCH_BASE_HASH_H
#define KETCH_BASE_HASH_H

#include "base/base.h"

uint64_t hash_bytes(const uint64_t seed[2], struct bytes b);
uint64_t hash_u64(const uint64_t seed[2], uint64_t x); /* of its eight bytes, the lowest first */

#endif
