/* Transcripts: commands and the exact text that must come of them.
 *
 * Runs etcd-io/raft's own files, unchanged, out of $KETCH_RAFT_TESTDATA (default
 * ../shared/raft-testdata beside the source), where that folder exists; and ours in testdata/. */
#include <dirent.h>
#include <unistd.h>

#include "unit/engine/raft/transcript_commands.h"

#define FILES_MAX 256
#define PATH_BYTES 1024

struct files {
    char names[FILES_MAX][PATH_BYTES];
    size_t n;
};

struct tally {
    size_t files;
    size_t failed;
    size_t cases;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The .txt files of a folder, in order of name. */
static void list_folder(const char *path, struct files *ret)
{
    DIR *d = opendir(path);
    struct dirent *x;

    ret->n = 0;
    if (d == NULL)
        return;
    while ((x = readdir(d)) != NULL && ret->n < FILES_MAX) {
        size_t len = strlen(x->d_name);

        if (len < 4 || strcmp(x->d_name + len - 4, ".txt") != 0)
            continue;
        (void) snprintf(ret->names[ret->n], PATH_BYTES, "%s/%s", path, x->d_name);
        ret->n++;
    }
    (void) closedir(d);
    qsort(ret->names, ret->n, PATH_BYTES, by_name);
}

static bool is_log_line(const char *line)
{
    static const char *const levels[] = {"DEBUG ", "INFO ", "WARN ", "ERROR "};

    while (*line == ' ')
        line++;
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (strncmp(line, levels[i], strlen(levels[i])) == 0)
            return true;
    return false;
}

/* As written; and once more without log lines, which must not make a difference. */
static bool run_interaction(const char *path, size_t *cases)
{
    struct te *t = te_new();
    bool ok = dd_run_file(path, te_handle, t, NULL, cases);
    size_t again = 0;

    te_free(t);
    t = te_new();
    t->muted = true;
    ok = ok && dd_run_file(path, te_handle, t, is_log_line, &again);
    te_free(t);
    return ok;
}

static bool run_quorum(const char *path, size_t *cases)
{
    return dd_run_file(path, tq_handle, NULL, NULL, cases);
}

static bool run_confchange(const char *path, size_t *cases)
{
    struct tc t = {.tracker = {.inflight_max = 10}};
    bool ok = dd_run_file(path, tc_handle, &t, NULL, cases);

    raft__tracker_check(&t.tracker);
    raft__tracker_done(&t.tracker);
    return ok;
}

static void run_folder(const char *base, const char *sub, bool (*run)(const char *, size_t *),
                       struct tally *tally)
{
    static struct files files;
    char path[PATH_BYTES];

    (void) snprintf(path, sizeof path, "%s%s", base, sub);
    list_folder(path, &files);
    for (size_t i = 0; i < files.n; i++) {
        bool ok = run(files.names[i], &tally->cases);

        printf("%s %s\n", ok ? "ok  " : "FAIL", files.names[i]);
        tally->files++;
        tally->failed += !ok;
    }
}

int main(int argc, char **argv)
{
    const char *shared = getenv("KETCH_RAFT_TESTDATA");
    struct tally theirs = {0}, ours = {0};

    if (argc > 1) { /* one interaction file, for looking into it */
        size_t cases = 0;

        return run_interaction(argv[1], &cases) ? 0 : 1;
    }
    if (shared == NULL)
        shared = TEST_SOURCE_DIR "/../shared/raft-testdata";
    run_folder(TEST_SOURCE_DIR "/tests/unit/engine/raft/testdata", "", run_interaction, &ours);
    run_folder(shared, "/quorum", run_quorum, &theirs);
    run_folder(shared, "/confchange", run_confchange, &theirs);
    run_folder(shared, "/interaction", run_interaction, &theirs);
    printf("%zu of %zu own transcript files, %zu failed (%zu cases)\n", ours.files - ours.failed,
           ours.files, ours.failed, ours.cases);
    printf("%zu cases in shared files\n", theirs.cases);
    if (theirs.files == 0)
        printf("skipped: no transcripts\n");
    else
        printf("%zu of %zu transcript files, %zu failed\n", theirs.files - theirs.failed,
               theirs.files, theirs.failed);
    return ours.failed == 0 && theirs.failed == 0 ? 0 : 1;
}
