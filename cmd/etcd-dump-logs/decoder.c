/* decoder.c -- a program beside us: one line in, one line out, for each entry. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/text.h"
#include "etcd-dump-logs/dump.h"

#define WORDS_MAX 256
#define LINE_BYTES_MAX ((size_t) 1 << 30) /* of an answer */
#define READ_BYTES 65536

struct decoder {
    pid_t pid;
    int to;        /* its standard input */
    int from;      /* its standard output */
    FILE *errors;  /* a file without a name: however much it says, it does not wait for us */
    struct buf in; /* what has come and was not used */
    size_t used;   /* of it */
    struct buf hex;
};

static int go_error(struct err *e, const char *program, int errnum)
{
    char why[128];

    snprintf(why, sizeof why, "%s", strerrordesc_np(errnum));
    why[0] = (char) tolower((unsigned char) why[0]);
    if (strchr(program, '/') == NULL && errnum == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "exec: \"%s\": executable file not found in $PATH",
                       program);
    return err_set(e, ERR_IO, "fork/exec %s: %s", program, why);
}

/* ---- start ---- */

/* Blanks part words, as Go splits: two of them make an empty one. */
static void split(char *copy, char *words[WORDS_MAX + 1])
{
    size_t n = 0;

    for (char *p = copy; n < WORDS_MAX; p++) {
        words[n++] = p;
        p = strchr(p, ' ');
        if (p == NULL)
            break;
        *p = 0;
    }
    words[n] = NULL;
}

NORETURN static void in_child(char **words, int in, int out, int errors, int report)
{
    int why;

    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    signal(SIGPIPE, SIG_DFL);
    execvp(words[0], words);
    why = errno;
    if (write(report, &why, sizeof why) < 0)
        _exit(126);
    _exit(127);
}

/* The pipe `report` closes without a word when the program runs. */
static int spawn(struct decoder *d, char **words, struct err *e)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, report[2] = {-1, -1}, why = 0;

    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(report, O_CLOEXEC) != 0)
        return go_error(e, words[0], errno);
    d->pid = fork();
    if (d->pid == 0)
        in_child(words, in[0], out[1], fileno(d->errors), report[1]);
    close(in[0]);
    close(out[1]);
    close(report[1]);
    d->to = in[1];
    d->from = out[0];
    if (d->pid < 0)
        why = errno;
    else if (read(report[0], &why, sizeof why) <= 0)
        why = 0;
    close(report[0]);
    return why == 0 ? 0 : go_error(e, words[0], why);
}

int decoder_start(const char *command, struct decoder **ret, struct err *e)
{
    struct decoder *d = xmem_calloc(1, sizeof *d);
    char *copy = xmem_strdup(command), *words[WORDS_MAX + 1];
    int rc;

    d->to = d->from = -1;
    buf_init(&d->in, LINE_BYTES_MAX);
    buf_init(&d->hex, SIZE_MAX / 2);
    split(copy, words);
    d->errors = tmpfile();
    rc = d->errors == NULL ? go_error(e, words[0], errno) : spawn(d, words, e);
    mem_free(copy);
    if (rc != 0) {
        decoder_free(d);
        return rc;
    }
    *ret = d;
    return 0;
}

/* ---- one question ---- */

static int send_all(int fd, struct bytes s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ERR_TRUNCATED;
        s = bytes_of(s.p + n, s.n - (size_t) n);
    }
    return 0;
}

static void put_hex(struct buf *out, struct bytes s)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *p = buf_reserve(out, 2 * s.n + 1);

    if (p == NULL)
        return;
    for (size_t i = 0; i < s.n; i++) {
        *p++ = (uint8_t) digits[s.p[i] >> 4];
        *p++ = (uint8_t) digits[s.p[i] & 15];
    }
    *p = '\n';
    buf_commit(out, 2 * s.n + 1);
}

/* A line with its end; the last one may have none, and is then no answer. */
static int read_line(struct decoder *d, struct bytes *ret)
{
    size_t seen = 0;

    buf_consume(&d->in, d->used);
    d->used = 0;
    for (;;) {
        const uint8_t *end = d->in.len > seen ? memchr(d->in.p + seen, '\n', d->in.len - seen)
                                              : NULL;
        uint8_t *room;
        ssize_t n;

        if (end != NULL) {
            d->used = (size_t) (end - d->in.p) + 1;
            *ret = bytes_of(d->in.p, d->used);
            return 0;
        }
        seen = d->in.len;
        room = buf_reserve(&d->in, READ_BYTES);
        if (room == NULL)
            return ERR_LIMIT;
        n = read(d->from, room, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ERR_TRUNCATED;
        buf_commit(&d->in, (size_t) n);
    }
}

/* "STATUS|DATA": without a bar, or with more, it is said. */
static void put_answer(struct buf *out, struct bytes line)
{
    const uint8_t *bar = memchr(line.p, '|', line.n);
    size_t n = bar == NULL ? 0 : (size_t) (bar - line.p);
    struct bytes rest = bar == NULL ? line : bytes_of(bar + 1, line.n - n - 1);

    if (bar == NULL) {
        buf_add_str(out, "\tdecoder output format is not right, print output anyway\t");
        buf_add_bytes(out, rest);
        return;
    }
    buf_add_char(out, '\t');
    buf_add(out, line.p, n);
    if (memchr(rest.p, '|', rest.n) != NULL)
        buf_add_str(out, "(*WARNING: data might contain deliminator used by etcd-dump-logs)");
    buf_add_char(out, '\t');
    for (size_t i = 0; i < rest.n; i++) {
        if (rest.p[i] != '|')
            buf_add_char(out, (char) rest.p[i]);
    }
}

int decoder_ask(struct decoder *d, struct bytes data, struct buf *out, struct err *e)
{
    struct bytes line;
    int rc;

    dump_flush(out, false);
    buf_clear(&d->hex);
    put_hex(&d->hex, data);
    if (d->hex.failed)
        return err_set(e, ERR_NOMEM, "out of memory for an entry");
    rc = send_all(d->to, buf_bytes(&d->hex));
    if (rc == 0)
        rc = read_line(d, &line);
    if (rc == ERR_LIMIT)
        return err_set(e, rc, "an answer of the decoder is longer than %zu bytes", LINE_BYTES_MAX);
    if (rc != 0)
        return err_set(e, rc, "EOF");
    put_answer(out, line);
    return 0;
}

/* ---- the end ---- */

void decoder_free(struct decoder *d)
{
    int status;

    if (d == NULL)
        return;
    if (d->to >= 0)
        close(d->to);
    if (d->from >= 0)
        close(d->from);
    if (d->pid > 0) {
        kill(d->pid, SIGTERM);
        waitpid(d->pid, &status, 0);
    }
    if (d->errors != NULL)
        fclose(d->errors);
    buf_done(&d->in);
    buf_done(&d->hex);
    mem_free(d);
}

static void pass_on_errors(FILE *f)
{
    char piece[4096];
    size_t n;
    bool any = false;

    rewind(f);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0) {
        if (!any)
            fputs("decoder stderr: ", stderr);
        any = true;
        fwrite(piece, 1, n, stderr);
    }
}

int decoder_end(struct decoder *d, struct err *e)
{
    int status = 0, rc = 0;

    close(d->to);
    d->to = -1;
    while (waitpid(d->pid, &status, 0) < 0 && errno == EINTR)
        ;
    d->pid = -1;
    if (WIFSIGNALED(status))
        rc = err_set(e, ERR_IO, "signal: %s", strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        rc = err_set(e, ERR_IO, "exit status %d", WEXITSTATUS(status));
    else
        pass_on_errors(d->errors);
    decoder_free(d);
    return rc;
}
