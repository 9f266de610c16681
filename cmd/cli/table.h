/* table.h -- a table drawn with box characters, as etcd 3.7 draws them.
 *
 * The header is upper-cased and centred (the odd space to the right), underscores become spaces;
 * cells are trimmed and right-aligned; a column is as wide as its longest cell in code points.
 * Without rows the rule under the header is left out.
 */
#ifndef KETCH_CMD_CLI_TABLE_H
#define KETCH_CMD_CLI_TABLE_H

#include "base/buf.h"

/* `cells` are rows * columns strings, row by row. */
void table_print(struct buf *out, const char *const *header, size_t columns,
                 const char *const *cells, size_t rows);

#endif
