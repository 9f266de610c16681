/* h2_mem.h -- nghttp2's allocator over the pool of a loop. */
#ifndef KETCH_ENGINE_NET_H2_MEM_H
#define KETCH_ENGINE_NET_H2_MEM_H

#include <nghttp2/nghttp2.h>

#include "engine/net/loop_int.h"

/* Valid as long as the loop; nghttp2 copies it. */
nghttp2_mem h2_mem(struct loop *l);

#endif
