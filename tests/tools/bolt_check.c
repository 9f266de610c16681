/* bolt_check FILE...: verifies data files as `bbolt check` does; prints findings, exits with 1 when
 * there are any. */
#include <stdio.h>

#include "engine/bolt/bolt.h"
#include "sys/disk.h"

static void print(void *arg, const char *text)
{
    printf("%s: %s\n", (const char *) arg, text);
}

static int check(char *path)
{
    struct bolt_options o = {.read_only = true, .lock = BOLT_LOCK_NONE};
    struct bolt_db *db = NULL;
    struct bolt_tx *tx;
    struct err e = ERR_INIT;
    int rc = bolt_open(disk_posix(), path, &o, &db, &e);

    if (rc == 0)
        rc = bolt_begin_read(db, &tx, &e);
    if (rc == 0) {
        rc = bolt_check(tx, print, path, &e);
        bolt_rollback(tx);
    }
    if (rc != 0)
        printf("%s: %s\n", path, e.msg);
    bolt_close(db);
    return rc;
}

int main(int argc, char **argv)
{
    int bad = 0;

    for (int i = 1; i < argc; i++)
        bad |= check(argv[i]) != 0;
    return bad;
}
