/* cmd_snapshot.c -- the database of a member, saved to a file. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/json_out.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "etcdctl/ctl.h"

#define HASH_BYTES 32    /* SHA-256 behind the database */
#define SECTOR_BYTES 512 /* the database is a multiple of it; so a rest of 32 tells the hash */
#define VERSION_BYTES_MAX 64

struct saving {
    struct ctl *ctl;
    const char *endpoint;
    int fd;
    int write_errno;
    uint64_t size;
    bool opened; /* the server has said something */
    struct progress progress;
    char version[VERSION_BYTES_MAX];
    struct ketch_error error;
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Go's words for the errors that a path can meet. */
static const char *go_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return "no such file or directory";
    case EACCES:
        return "permission denied";
    case EISDIR:
        return "is a directory";
    case ENOTDIR:
        return "not a directory";
    case ENOSPC:
        return "no space left on device";
    default:
        return strerror(errnum);
    }
}

static void log_field(const char *caller, const char *msg, const char *name, const char *value)
{
    struct buf b;

    buf_init(&b, CLI_PAGE_BYTES_MAX);
    buf_printf(&b, "\"%s\":", name);
    json_escape(&b, bytes_str(value));
    ctl_log("info", NULL, caller, msg, buf_cstr(&b));
    buf_done(&b);
}

static void log_opened(struct saving *s)
{
    s->opened = true;
    ctl_log("info", "client", "v3/maintenance.go:236", "opened snapshot stream; downloading", "");
}

static bool on_piece(const ProtobufCMessage *message, void *user)
{
    const Etcdserverpb__SnapshotResponse *r = (const void *) message;
    struct saving *s = user;
    size_t done = 0;

    if (!s->opened) {
        log_opened(s);
        log_field("snapshot/v3_snapshot.go:96", "fetching snapshot", "endpoint", s->endpoint);
        progress_begin(&s->progress, "fetching the snapshot", r->remaining_bytes + r->blob.len);
    }
    if (r->version[0] != 0)
        snprintf(s->version, sizeof(s->version), "%s", r->version);
    while (done < r->blob.len) {
        ssize_t n = write(s->fd, r->blob.data + done, r->blob.len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            s->write_errno = errno;
            return false;
        }
        done += (size_t) n;
    }
    s->size += r->blob.len;
    progress_add(&s->progress, r->blob.len);
    return true;
}

/* Did a server say this, and not our own clock? */
static bool is_refusal(const struct ketch_error *e)
{
    return e->code > KETCH_OK && e->code != KETCH_CANCELED && e->code != KETCH_DEADLINE_EXCEEDED;
}

static void on_end(const struct ketch_error *e, void *user)
{
    struct saving *s = user;

    s->error = *e;
    progress_end(&s->progress);
    if (!s->opened && is_refusal(e))
        log_opened(s);
    if (e->code == KETCH_OK)
        ctl_log("info", "client", "v3/maintenance.go:302", "completed snapshot read; closing", "");
    ketch_stop(s->ctl->client);
}

static void log_fetched(const struct saving *s, int64_t took_ns)
{
    struct buf b;

    buf_init(&b, CLI_PAGE_BYTES_MAX);
    buf_add_str(&b, "\"endpoint\":");
    json_escape(&b, bytes_str(s->endpoint));
    buf_add_str(&b, ",\"size\":\"");
    text_human_bytes(&b, s->size);
    buf_add_str(&b, "\",\"took\":\"");
    text_duration(&b, took_ns);
    buf_add_str(&b, "\",\"etcd-version\":");
    json_escape(&b, bytes_str(s->version));
    ctl_log("info", NULL, "snapshot/v3_snapshot.go:111", "fetched snapshot", buf_cstr(&b));
    buf_done(&b);
}

/* A snapshot's errors are told with their code, other than those of a call with one answer. */
static int fail(const struct saving *s)
{
    const char *name = ketch_code_name(s->error.code);

    if (!is_refusal(&s->error) || name == NULL || strncmp(s->error.text, "rpc error", 9) == 0)
        return cli_fail(CTL_INTERRUPTED, "%s", s->error.text);
    return cli_fail(CTL_INTERRUPTED, "rpc error: code = %s desc = %s", name, s->error.text);
}

/* Everything is in the file, and on the disk. */
static int check_saved(struct saving *s)
{
    if (s->write_errno != 0)
        return cli_fail(CTL_INTERRUPTED, "could not write snapshot: %s", go_errno(s->write_errno));
    if (s->error.code != KETCH_OK)
        return fail(s);
    if (s->size % SECTOR_BYTES != HASH_BYTES)
        return cli_fail(CTL_INTERRUPTED, "sha256 checksum not found [bytes: %" PRIu64 "]", s->size);
    if (fsync(s->fd) != 0)
        return cli_fail(CTL_INTERRUPTED, "could not fsync snapshot: %s", go_errno(errno));
    return CTL_OK;
}

static int fetch(struct saving *s, int64_t timeout_ms)
{
    static const struct ketch_stream_callbacks cb = {.on_message = on_piece, .on_end = on_end};
    Etcdserverpb__SnapshotRequest req = ETCDSERVERPB__SNAPSHOT_REQUEST__INIT;
    int64_t began = now_ns();
    int status;

    if (ketch_stream(s->ctl->client, KETCH_SNAPSHOT, &req.base, timeout_ms, &cb, s) == NULL)
        return cli_fail(CTL_INTERRUPTED, "out of memory");
    ketch_run(s->ctl->client);
    status = check_saved(s);
    if (status == CTL_OK)
        log_fetched(s, now_ns() - began);
    return status;
}

/* Saves to PATH.part, then renames. */
static int save(struct ctl *ctl, const char *path, int64_t timeout_ms)
{
    struct saving s = {.ctl = ctl, .endpoint = ctl->endpoints[0]};
    const char *part = arena_printf(&ctl->arena, "%s.part", path);
    int status;

    s.fd = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (s.fd < 0)
        return cli_fail(CTL_INTERRUPTED, "could not open %s (open %s: %s)", part, part,
                        go_errno(errno));
    log_field("snapshot/v3_snapshot.go:83", "created temporary db file", "path", part);
    status = fetch(&s, timeout_ms);
    if (close(s.fd) != 0 && status == CTL_OK)
        status = cli_fail(CTL_INTERRUPTED, "could not write snapshot: %s", go_errno(errno));
    if (status == CTL_OK && rename(part, path) != 0)
        status = cli_fail(CTL_INTERRUPTED, "could not rename %s to %s (rename %s %s: %s)", part,
                          path, part, path, go_errno(errno));
    if (status != CTL_OK) {
        unlink(part);
        return status;
    }
    log_field("snapshot/v3_snapshot.go:121", "saved", "path", path);
    buf_printf(&ctl->out, "Snapshot saved at %s\n", path);
    if (s.version[0] != 0)
        buf_printf(&ctl->out, "Server version %s\n", s.version);
    return CTL_OK;
}

static int one_endpoint(const struct ctl *ctl)
{
    struct buf b;
    int status;

    if (ctl->endpoint_count == 1)
        return CTL_OK;
    buf_init(&b, CLI_PAGE_BYTES_MAX);
    for (size_t i = 0; i < ctl->endpoint_count; i++)
        buf_printf(&b, "%s%s", i == 0 ? "" : " ", ctl->endpoints[i]);
    status = cli_fail(CTL_INTERRUPTED,
                      "snapshot must be requested to one selected node, not multiple [%s]",
                      buf_cstr(&b));
    buf_done(&b);
    return status;
}

static int save_run(struct cli_call *call)
{
    struct ctl ctl;
    /* A snapshot takes as long as it takes, unless the user says otherwise. */
    int64_t timeout_ms = cli_changed(call, "command-timeout") ? ctl_timeout_ms(call) : 0;
    int status;

    if (call->arg_count != 1)
        return cli_fail(CTL_BAD_ARGS, "snapshot save expects one argument <filename>");
    status = ctl_init(&ctl, call);
    if (status == CTL_OK)
        status = one_endpoint(&ctl);
    if (status == CTL_OK && ctl_open_client(&ctl) != CTL_OK)
        status = CTL_INTERRUPTED; /* a refused login, too */
    if (status == CTL_OK)
        status = save(&ctl, call->args[0], timeout_ms);
    return ctl_close(&ctl, status);
}

static const struct cli_command save_command = {
    .use = "save <filename>",
    .brief = "Stores an etcd node backend snapshot to a given file",
    .run = save_run,
};
static const struct cli_command *const snapshot_commands[] = {&save_command};

const struct cli_command snapshot_command = {
    .use = "snapshot",
    .brief = "Manages etcd node snapshots",
    .group = GROUP_CLUSTER,
    CLI_SUBS(snapshot_commands),
};
