/* maintenance.h -- the parts of the Maintenance service that its files share.  Private to
 * edge/server. */
#ifndef KETCH_EDGE_SERVER_MAINTENANCE_H
#define KETCH_EDGE_SERVER_MAINTENANCE_H

#include "edge/server/server_int.h"

void maintenance_snapshot(struct call *c, struct bytes message);

void maintenance_downgrade(struct call *c, struct bytes message);

/* "3.6" and the suffix; NULL for 0, or without memory. */
char *version_text(struct arena *a, uint32_t v, const char *suffix);

/* "M.m" or "M.m.p", a suffix behind the patch allowed: major << 16 | minor. */
bool downgrade_version_parse(const char *s, uint32_t *ret);

#endif
