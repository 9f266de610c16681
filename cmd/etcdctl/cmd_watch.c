/* cmd_watch.c -- watch, and its interactive form.
 *
 * The interactive form reads standard input on a thread of its own and hands each line to the
 * client's thread, where the watches run.
 */
#define _POSIX_C_SOURCE 200809L
#include <unistd.h>

#include "base/alloc.h"
#include "base/list.h"
#include "cli/text.h"
#include "etcdctl/ctl.h"
#include "sys/thread.h"
#include "wire/wire.h"

static const char no_key[] = "bad number of arguments";
static const char no_command[] = "bad number of arguments (found separator --, but no commands)";
static const char conflict[] = "bad number of arguments (found conflicting environment key)";
static const char exclusive[] = "`range_end` and `--prefix` are mutually exclusive";

/* ---- one watch ---- */

struct watching {
    struct ctl *ctl;
    const char *const *exec; /* NULL-terminated; NULL: none */
    bool interactive;        /* others go on when this one ends */
    int *status;             /* of the program, when it is to stop */
};

static void stop(struct watching *w, int status)
{
    *w->status = status;
    ketch_stop(w->ctl->client);
}

static int print_event(struct watching *w, const struct ketch_watch_event *ev)
{
    struct print_watch p = {
        .header = ev->header,
        .events = ev->events,
        .event_count = ev->event_count,
        .compact_revision = ev->compact_revision,
        .canceled = ev->canceled,
    };

    if (ev->canceled) {
        buf_printf(&w->ctl->errs, "watch was canceled (%s)\n", ev->error);
        cli_write(stderr, &w->ctl->errs); /* before the answer, as etcdctl */
    }
    if (ev->progress)
        buf_printf(&w->ctl->out, "progress notify: %" PRId64 "\n", ev->header->revision);
    return CTL_PRINT(w->ctl, watch, &p);
}

static void on_event(const struct ketch_watch_event *ev, void *user)
{
    struct watching *w = user;
    int status;

    if (*w->status != CTL_OK)
        return;
    status = print_event(w, ev);
    if (status != CTL_OK) {
        stop(w, status);
        return;
    }
    for (size_t i = 0; w->exec != NULL && i < ev->event_count; i++) {
        if (!watch_run_command(w->exec, ev->header == NULL ? 0 : ev->header->revision,
                               ev->events[i])) {
            stop(w, CTL_ERROR);
            return;
        }
    }
    if (ev->canceled && !w->interactive)
        stop(w, cli_fail(CTL_INTERRUPTED, "watch is canceled by the server"));
}

/* Key, end and the command out of a call's words and the environment; NULL or what is wrong. */
struct watch_words {
    struct bytes key;
    struct bytes end;
    bool has_end;
    const char *const *exec;
};

static const char *watch_words_of(const struct cli_call *c, const char *env_key,
                                  const char *env_end, struct watch_words *ret)
{
    size_t before = c->dash_at >= 0 ? (size_t) c->dash_at : c->arg_count;
    struct watch_words w = {.exec = NULL};

    if (c->dash_at >= 0 && before == c->arg_count)
        return no_command;
    if (c->dash_at >= 0)
        w.exec = c->args + before;
    if (env_key[0] != 0 && before > 0)
        return conflict;
    if (env_key[0] != 0) {
        w.key = bytes_str(env_key);
        w.end = bytes_str(env_end);
        w.has_end = env_end[0] != 0;
    } else if (before > 0) {
        w.key = cli_arg(c, 0);
        w.has_end = before == 2; /* with more words than two, etcdctl watches the first alone */
        w.end = w.has_end ? cli_arg(c, 1) : BYTES_EMPTY;
    } else {
        return no_key;
    }
    *ret = w;
    return NULL;
}

/* Starts a watch as the call's flags say; NULL or what is wrong. */
static const char *watch_begin(struct ctl *ctl, const struct cli_call *c,
                               const struct watch_words *words, struct watching *w)
{
    static const struct bytes zero_byte = {(const uint8_t *) "", 1};
    struct ketch_watch_options o = {.require_leader = true};
    Etcdserverpb__WatchCreateRequest r = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    bool prefix = cli_bool(c, "prefix");
    struct arena a;
    struct ketch_watch *started;

    if (words->has_end && prefix)
        return exclusive;
    arena_init(&a, CTL_REQUEST_BYTES_MAX);
    r.key = wire_binary(prefix && words->key.n == 0 ? zero_byte : words->key);
    r.range_end = wire_binary(words->end);
    if (prefix)
        r.range_end = wire_binary(kv_prefix_end(words->key, &a));
    r.start_revision = cli_int(c, "rev");
    r.prev_kv = cli_bool(c, "prev-kv");
    r.progress_notify = cli_bool(c, "progress-notify");
    started = ketch_watch(ctl->client, &r, &o, on_event, w);
    arena_done(&a);
    return started == NULL ? "out of memory" : NULL;
}

static int watch_once(struct cli_call *call, const char *env_key, const char *env_end)
{
    struct watch_words words;
    struct ctl ctl;
    int result = CTL_OK;
    struct watching w = {.ctl = &ctl, .status = &result};
    const char *wrong = watch_words_of(call, env_key, env_end, &words);
    int status;

    if (wrong != NULL)
        return cli_fail(CTL_BAD_ARGS, "%s", wrong);
    w.exec = words.exec;
    status = ctl_open(&ctl, call);
    if (status == CTL_OK) {
        wrong = watch_begin(&ctl, call, &words, &w);
        if (wrong != NULL)
            status = cli_fail(CTL_BAD_ARGS, "%s", wrong);
    }
    if (status == CTL_OK) {
        ketch_run(ctl.client);
        status = result;
    }
    result = CTL_INTERRUPTED; /* closing cancels the watch: nothing more is printed */
    return ctl_close(&ctl, status);
}

/* ---- interactive ---- */

/* What a line of `watch -i` understands. */
static int no_run(struct cli_call *c)
{
    (void) c;
    return CTL_OK;
}

static const struct cli_flag watch_flags[] = {
    {.name = "interactive",
     .shorthand = 'i',
     .type = CLI_BOOL,
     .help = "read watch and progress requests from standard input"},
    {.name = "prefix", .type = CLI_BOOL, .help = "watch all keys that begin with the given one"},
    {.name = "rev", .type = CLI_INT, .help = "revision to begin with"},
    {.name = "prev-kv", .type = CLI_BOOL, .help = "get the pair as it was before the event"},
    {.name = "progress-notify",
     .type = CLI_BOOL,
     .help = "ask the server for notices of its progress now and then"},
};

static const struct cli_command line_command = {
    .use = "watch", .brief = "", CLI_FLAGS(watch_flags), .run = no_run};
static const struct cli_program line_program = {.root = &line_command,
                                                .error_style = CLI_ERROR_SILENT};

struct interactive {
    struct ctl *ctl;
    const char *env_key;
    const char *env_end;
    int status;
    struct list lines; /* of words, kept because watches and commands point into them */
};

/* One line: its words and flags live as long as its watch, that is as long as the program. */
struct line {
    struct list link;
    struct interactive *all;
    struct words words;
    struct cli_call call;
    struct watching watching;
    bool end; /* of the input */
    struct buf text;
};

static void line_free(struct line *l)
{
    list_remove(&l->link);
    cli_call_done(&l->call);
    words_done(&l->words);
    buf_done(&l->text);
    mem_free(l);
}

static void invalid(const char *fmt, const char *line, const char *why)
{
    struct buf b;

    buf_init(&b, CTL_OUT_BYTES_MAX);
    buf_printf(&b, "Invalid command%s %s (%s)\n", fmt, line, why);
    cli_write(stderr, &b);
    buf_done(&b);
}

static void end_interactive(struct interactive *all, int status)
{
    all->status = status;
    ketch_stop(all->ctl->client);
}

static void watch_line(struct line *l)
{
    struct interactive *all = l->all;
    struct watch_words words;
    const char *wrong;
    struct buf out;
    int status;
    enum cli_verdict v;

    buf_init(&out, CLI_PAGE_BYTES_MAX);
    v = cli_parse(&line_program, l->words.count - 1, l->words.text + 1, &l->call, &out, &out,
                  &status);
    buf_done(&out);
    l->call.words = &l->words;
    if (v != CLI_RUN) {
        end_interactive(all, cli_fail(CTL_BAD_ARGS, "%s", l->call.err.msg));
        return;
    }
    wrong = watch_words_of(&l->call, all->env_key, all->env_end, &words);
    if (wrong != NULL) {
        end_interactive(all, cli_fail(CTL_BAD_ARGS, "%s", wrong));
        return;
    }
    l->watching = (struct watching){
        .ctl = all->ctl, .exec = words.exec, .interactive = true, .status = &all->status};
    wrong = watch_begin(all->ctl, &l->call, &words, &l->watching);
    if (wrong != NULL)
        invalid("", buf_cstr(&l->text), wrong);
}

/* On the client's thread, for each line read. */
static void on_line(void *arg)
{
    struct line *l = arg;
    struct interactive *all = l->all;
    struct err e = ERR_INIT;
    const char *text = buf_cstr(&l->text);
    const char *first;

    list_push(&all->lines, &l->link);
    if (all->status != CTL_OK) /* over: this line came in the same turn as the last one */
        return;
    if (l->end) {
        end_interactive(all, cli_fail(CTL_INVALID_INPUT, "error reading watch request line: EOF"));
        return;
    }
    if (words_split(&l->words, buf_bytes(&l->text), &e) != 0) {
        end_interactive(all, cli_fail(CTL_INVALID_INPUT, "%s", e.msg));
        return;
    }
    first = l->words.count == 0 ? "" : l->words.text[0];
    if (l->words.count == 0)
        invalid(":", text, "watch and progress supported");
    else if (strcmp(first, "progress") == 0)
        ketch_watch_progress(all->ctl->client);
    else if (strcmp(first, "watch") != 0)
        invalid("", text, "only support watch");
    else if (l->words.count < 2 && all->env_key[0] == 0)
        invalid("", text, "command type or key is not provided");
    else
        watch_line(l);
}

static void read_lines(void *arg)
{
    struct interactive *all = arg;
    struct ctl_input in;
    bool more = true;

    ctl_input_init(&in);
    while (more) {
        struct line *l = xmem_calloc(1, sizeof(*l));

        list_init(&l->link);
        buf_init(&l->text, CTL_OUT_BYTES_MAX);
        l->all = all;
        more = ctl_read_line(&in, &l->text);
        l->end = !more;
        ketch_post(all->ctl->client, on_line, l);
    }
    ctl_input_done(&in);
}

static int watch_interactive(struct cli_call *call, const char *env_key, const char *env_end)
{
    struct ctl ctl;
    struct interactive all = {.ctl = &ctl, .env_key = env_key, .env_end = env_end};
    struct thread *reader = NULL;
    struct err e = ERR_INIT;
    int status = ctl_open(&ctl, call);

    list_init(&all.lines);
    if (status == CTL_OK && thread_start("stdin", read_lines, &all, &reader, &e) != 0)
        status = cli_fail(CTL_ERROR, "%s", e.msg);
    if (status != CTL_OK)
        return ctl_close(&ctl, status);
    ketch_run(ctl.client);
    if (list_empty(&all.lines) || !CONTAINER_OF(all.lines.prev, struct line, link)->end) {
        /* The reader still waits for input and holds the client: only the end of the process frees
         * it. */
        fflush(NULL);
        _exit(all.status);
    }
    thread_join(reader);
    status = ctl_close(&ctl, all.status);
    while (!list_empty(&all.lines))
        line_free(CONTAINER_OF(all.lines.next, struct line, link));
    return status;
}

/* ---- the command ---- */

static const char *environment(const char *name)
{
    const char *v = getenv(name);

    return v == NULL ? "" : v;
}

static int watch_run(struct cli_call *call)
{
    const char *env_key = environment("ETCDCTL_WATCH_KEY");
    const char *env_end = environment("ETCDCTL_WATCH_RANGE_END");
    struct buf q;

    if (env_key[0] == 0 && env_end[0] != 0) {
        int status;

        buf_init(&q, CLI_PAGE_BYTES_MAX);
        text_quote(&q, bytes_str(env_end));
        status = cli_fail(CTL_BAD_ARGS,
                          "ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END=%s",
                          buf_cstr(&q));
        buf_done(&q);
        return status;
    }
    if (cli_bool(call, "interactive"))
        return watch_interactive(call, env_key, env_end);
    return watch_once(call, env_key, env_end);
}

const struct cli_command watch_command = {
    .use = "watch [options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]",
    .brief = "Watches events stream on keys or prefixes",
    .about = "Prints each change of a key, of the keys of [key, range_end), or of all keys with a\n"
             "prefix, from now on or from a revision of the past, until it is interrupted. A\n"
             "command behind -- is run for every change, which it finds in ETCD_WATCH_REVISION,\n"
             "ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and ETCD_WATCH_VALUE.",
    .group = GROUP_KV,
    CLI_FLAGS(watch_flags),
    .run = watch_run,
};
