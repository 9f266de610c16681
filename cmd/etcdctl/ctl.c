#define _POSIX_C_SOURCE 200809L
#include "etcdctl/ctl.h"

#include <ctype.h>
#include <time.h>

#include "base/alloc.h"
#include "cli/identity.h"
#include "cli/text.h"

#define NS_PER_MS 1000000

/* ---- log lines ---- */

void ctl_log(const char *level, const char *logger, const char *caller, const char *msg,
             const char *fields)
{
    struct timespec now;
    struct buf b;

    clock_gettime(CLOCK_REALTIME, &now);
    buf_init(&b, CLI_PAGE_BYTES_MAX);
    buf_printf(&b, "{\"level\":\"%s\",\"ts\":\"", level);
    text_timestamp(&b, (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000);
    buf_add_char(&b, '"');
    if (logger != NULL)
        buf_printf(&b, ",\"logger\":\"%s\"", logger);
    buf_printf(&b, ",\"caller\":\"%s\",\"msg\":\"%s\"", caller, msg);
    buf_printf(&b, "%s%s}\n", fields[0] == 0 ? "" : ",", fields);
    cli_write(stderr, &b);
    buf_done(&b);
}

/* --debug: the settings, sorted by name, then nothing of gRPC's own. */
static void show_settings(const struct cli_call *call)
{
    struct buf b;

    buf_init(&b, CLI_PAGE_BYTES_MAX);
    for (size_t i = call->own_count; i < call->value_count; i++) {
        const struct cli_value *v = &call->values[i];

        buf_add_str(&b, "ETCDCTL_");
        for (const char *p = v->flag->name; *p != 0; p++)
            buf_add_char(&b, *p == '-' ? '_' : (char) toupper((unsigned char) *p));
        buf_add_char(&b, '=');
        cli_value_print(v, &b);
        buf_add_char(&b, '\n');
    }
    cli_write(stderr, &b);
    buf_done(&b);
}

/* ---- settings ---- */

static int check_file_flag(const struct cli_call *call, const char *flag)
{
    const char *path = cli_string(call, flag);

    if (!cli_changed(call, flag))
        return CTL_OK;
    if (path[0] == 0)
        return cli_fail(CTL_BAD_ARGS, "empty string is passed to --%s option", flag);
    return CTL_OK;
}

static int check_tls_files(const struct cli_call *call)
{
    struct err e = ERR_INIT;

    return cli_check_tls_files(call, &e) == 0 ? CTL_OK : cli_fail(CTL_BAD_ARGS, "%s", e.msg);
}

static int check_settings(struct ctl *ctl)
{
    const struct cli_call *call = ctl->call;
    int status = ctl_discover(ctl);

    if (status == CTL_OK)
        status = check_file_flag(call, "cert");
    if (status == CTL_OK)
        status = check_file_flag(call, "key");
    if (status == CTL_OK)
        status = check_file_flag(call, "cacert");
    if (status != CTL_OK)
        return status;
    ctl->how.printer = printer_find(cli_string(call, "write-out"));
    ctl->how.hex = cli_bool(call, "hex");
    if (ctl->how.printer == NULL)
        return cli_fail(CTL_BAD_FEATURE, "unsupported output format");
    return check_tls_files(call);
}

int64_t ctl_timeout_ms(const struct cli_call *call)
{
    int64_t ns = cli_int(call, "command-timeout");

    return ns <= 0 ? -1 : (ns + NS_PER_MS - 1) / NS_PER_MS;
}

int ctl_init(struct ctl *ctl, struct cli_call *call)
{
    int status;

    *ctl = (struct ctl){.call = call};
    arena_init(&ctl->arena, CTL_REQUEST_BYTES_MAX);
    buf_init(&ctl->out, CTL_OUT_BYTES_MAX);
    buf_init(&ctl->errs, CTL_OUT_BYTES_MAX);
    ctl->what = (struct print_what){.out = &ctl->out, .errs = &ctl->errs, .how = &ctl->how};
    status = ctl_read_environment(call);
    if (status != CTL_OK)
        return status;
    if (cli_bool(call, "debug"))
        show_settings(call);
    return check_settings(ctl);
}

int ctl_close(struct ctl *ctl, int status)
{
    cli_write(stdout, &ctl->out);
    cli_write(stderr, &ctl->errs);
    ketch_close(ctl->client);
    buf_done(&ctl->out);
    buf_done(&ctl->errs);
    arena_done(&ctl->arena);
    return status;
}

/* ---- results ---- */

int ctl_fail(const struct ctl *ctl, int status)
{
    /* Files that cannot be used are wrong arguments, whenever they are read. */
    if (ctl->error.code == KETCH_E_TLS)
        status = CTL_BAD_ARGS;
    return cli_fail(status, "%s", ctl->error.text);
}

int ctl_unsupported(const struct ctl *ctl)
{
    return cli_fail(CTL_BAD_FEATURE, "%s not supported as output format", ctl->how.printer->name);
}

int ctl_ask(struct cli_call *call, enum ketch_method m, const ProtobufCMessage *request,
            int64_t timeout_ms, int failed, ctl_print_fn *print)
{
    struct ketch_reply *reply = NULL;
    struct ctl ctl;
    int status = ctl_open(&ctl, call);

    if (status == CTL_OK &&
        ketch_invoke(ctl.client, m, request, timeout_ms, &reply, &ctl.error) != KETCH_OK)
        status = ctl_fail(&ctl, failed);
    if (status == CTL_OK)
        status = print(&ctl, ketch_reply_message(reply));
    ketch_reply_free(reply);
    return ctl_close(&ctl, status);
}

int ctl_change(struct cli_call *call, enum ketch_method m, const ProtobufCMessage *request,
               int64_t timeout_ms, const char *line)
{
    struct print_done d = {.line = line};
    struct ketch_reply *reply = NULL;
    struct ctl ctl;
    int status = ctl_open(&ctl, call);

    if (status == CTL_OK &&
        ketch_invoke(ctl.client, m, request, timeout_ms, &reply, &ctl.error) != KETCH_OK)
        status = ctl_fail(&ctl, CTL_ERROR);
    if (status == CTL_OK) {
        d.answer = ketch_reply_message(reply);
        status = CTL_PRINT(&ctl, done, &d);
    }
    ketch_reply_free(reply);
    return ctl_close(&ctl, status);
}

char *ctl_field(struct cli_call *call, const char *arg)
{
    return arena_printf(&call->arena, "%s", arg);
}

int ctl_flush(struct ctl *ctl)
{
    cli_write(stdout, &ctl->out);
    cli_write(stderr, &ctl->errs);
    return CTL_OK;
}
