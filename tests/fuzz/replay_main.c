/* replay_main.c -- runs a fuzz target once over each file of the folders and files named on the
 * command line. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replayed;

static void replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *p = NULL;
    size_t n = 0, got;
    uint8_t chunk[65536];

    if (f == NULL) {
        perror(path);
        exit(1);
    }
    while ((got = fread(chunk, 1, sizeof chunk, f)) > 0) {
        p = realloc(p, n + got);
        if (p == NULL)
            exit(1);
        memcpy(p + n, chunk, got);
        n += got;
    }
    fclose(f);
    /* An exact-size copy, so that a sanitizer sees the first byte read past the end. */
    LLVMFuzzerTestOneInput(p == NULL ? (const uint8_t *) "" : p, n);
    free(p);
    replayed++;
}

static void replay(const char *path)
{
    struct stat st;
    DIR *d;
    struct dirent *ent;
    char child[4096];

    if (stat(path, &st) != 0) {
        perror(path);
        exit(1);
    }
    if (!S_ISDIR(st.st_mode)) {
        replay_file(path);
        return;
    }
    d = opendir(path);
    if (d == NULL)
        exit(1);
    while ((ent = readdir(d)) != NULL) {
        if (ent->d_name[0] == '.')
            continue;
        snprintf(child, sizeof child, "%s/%s", path, ent->d_name);
        replay(child);
    }
    closedir(d);
}

int main(int argc, char **argv)
{
    LLVMFuzzerTestOneInput((const uint8_t *) "", 0);
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%u inputs replayed\n", replayed);
    if (replayed == 0) {
        fprintf(stderr, "no input: the corpus is missing\n");
        return 1;
    }
    return 0;
}
