/* maintenance.h -- the parts of the Maintenance service that its files share.  Private to
 * edge/server. */
#ifndef KETCH_EDGE_SERVER_MAINTENANCE_H
#define KETCH_EDGE_SERVER_MAINTENANCE_H

#include "edge/server/server_int.h"

void maintenance_snapshot(struct call *c, struct bytes message);

/* "M.m" or "M.m.p", a suffix behind the patch allowed: major << 16 | minor. */
bool downgrade_version_parse(const char *s, uint32_t *ret);

#endif
