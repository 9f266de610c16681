/* tree.h -- directories that are made, and taken away again when something fails.
 *
 * Errors are those of sys/disk.h; ERR_LIMIT for what is too long or too deep. */
#ifndef KETCH_CMD_ETCDUTL_TREE_H
#define KETCH_CMD_ETCDUTL_TREE_H

#include "base/err.h"

#define TREE_DEPTH_MAX 128 /* parts of a path; levels of a tree that is removed */
#define TREE_DIR_MODE 0700

struct disk;

/* Directories that did not exist before, outermost first. */
struct tree_made {
    struct disk *disk;
    char *v[TREE_DEPTH_MAX];
    size_t n;
};

/* Makes the directory and all above it that are missing, durably. */
NODISCARD int tree_make(const char *path, struct tree_made *made, struct err *e);
void tree_unmake(struct tree_made *made); /* removes those that are empty; frees the list */
void tree_keep(struct tree_made *made);   /* frees the list */

/* The directory above, in memory of the caller: "." for a plain name. */
NODISCARD int tree_parent(const char *path, char *ret, size_t n, struct err *e);

/* Removes a file, or a directory with all that is in it; nothing is there: 0.  Links are not
 * followed. */
NODISCARD int tree_remove(struct disk *d, const char *path, struct err *e);

#endif
