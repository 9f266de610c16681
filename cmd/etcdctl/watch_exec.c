/* watch_exec.c -- the command that watch runs for each event. */
#include "cli/text.h"
#include "etcdctl/ctl.h"
#include "etcdctl/exec.h"
#include "wire/wire.h"

/* "command ["a" "b"] error (why)" and the end of the program. */
static void command_failed(const char *const *argv, struct exec_result r)
{
    struct buf b;

    buf_init(&b, CLI_PAGE_BYTES_MAX);
    buf_add_str(&b, "command [");
    for (const char *const *p = argv; *p != NULL; p++) {
        buf_add_str(&b, p == argv ? "" : " ");
        text_quote(&b, bytes_str(*p));
    }
    buf_add_str(&b, "] error (");
    exec_failure(r, argv, &b);
    buf_add_str(&b, ")\n");
    cli_write(stderr, &b);
    buf_done(&b);
}

static const char *quoted(struct arena *a, struct bytes value)
{
    struct buf q;
    const char *ret;

    buf_init(&q, CTL_OUT_BYTES_MAX);
    text_quote(&q, value);
    ret = arena_printf(a, "%s", buf_cstr(&q));
    buf_done(&q);
    return ret;
}

bool watch_run_command(const char *const *argv, int64_t revision, const Mvccpb__Event *ev)
{
    static const Mvccpb__KeyValue nothing = MVCCPB__KEY_VALUE__INIT;
    const Mvccpb__KeyValue *kv = ev->kv != NULL ? ev->kv : &nothing;
    bool is_delete = ev->type == MVCCPB__EVENT__EVENT_TYPE__DELETE;
    struct exec_result r;
    struct arena a;

    arena_init(&a, CTL_OUT_BYTES_MAX);
    const struct exec_variable variables[] = {
        {"ETCD_WATCH_REVISION", arena_printf(&a, "%" PRId64, revision)},
        {"ETCD_WATCH_EVENT_TYPE", is_delete ? "\"DELETE\"" : "\"PUT\""},
        {"ETCD_WATCH_KEY", quoted(&a, wire_bytes(kv->key))},
        {"ETCD_WATCH_VALUE", quoted(&a, wire_bytes(kv->value))},
    };
    r = exec_run(argv, variables, ARRAY_LEN(variables));
    if (!exec_succeeded(r))
        command_failed(argv, r);
    arena_done(&a);
    return exec_succeeded(r);
}
