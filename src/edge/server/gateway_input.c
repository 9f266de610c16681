/* gateway_input.c -- values on their way in: where each ends, and as a message of the call.
 *
 * While the method asks to wait, what has come is kept (gate.rest) and the client is not read. */
#include "edge/server/gateway_int.h"

static void fail(struct gate *g, int code, const char *why)
{
    g->failed = true;
    g->why_code = code;
    g->why = arena_printf(http_arena(g->http), "%s", why);
    g->input_done = true;
}

/* Makes room in the sums, and adds bytes to the value that is being read. */
static void value_add(struct gate *g, struct bytes part)
{
    if (g->value.len + part.n > g->value_bytes_max) {
        fail(g, GRPC_RESOURCE_EXHAUSTED, "grpc: received message larger than max");
    } else if (g->io->gateway_held_bytes + part.n > GATEWAY_HELD_BYTES_MAX ||
               !buf_add_bytes(&g->value, part)) {
        fail(g, GRPC_RESOURCE_EXHAUSTED, "grpc: too many bytes of unfinished messages");
    } else {
        g->io->gateway_held_bytes += part.n;
        g->held_bytes += part.n;
    }
}

void gate_value_drop(struct gate *g)
{
    g->io->gateway_held_bytes -= g->held_bytes;
    g->held_bytes = 0;
    buf_done(&g->value);
    buf_init(&g->value, g->value_bytes_max);
    json_scan_init(&g->scan);
}

/* The value as a message, handed to the call.  False: it is none, `why` says what is wrong. */
static bool value_send(struct gate *g)
{
    size_t bytes_max = g->value_bytes_max / GATEWAY_VALUE_FACTOR;
    struct err e = ERR_INIT;
    struct bytes message;
    struct arena scratch;
    int rc;

    arena_init(&scratch, GATEWAY_SCRATCH_BYTES_MAX);
    rc = json_read(g->route->request, buf_bytes(&g->value), bytes_max, &scratch, &message, &e);
    if (rc != 0)
        fail(g, rc == ERR_INVALID ? GRPC_INVALID_ARGUMENT : GRPC_RESOURCE_EXHAUSTED, e.msg);
    else if (!call_local_send(g->call, message))
        fail(g, GRPC_RESOURCE_EXHAUSTED, "out of memory");
    arena_done(&scratch);
    return !g->failed;
}

/* A whole value has come.  Of a method that takes one, the rest of the body means nothing. */
static void value_complete(struct gate *g)
{
    if (g->route->kind != NET_BIDI) {
        g->input_done = true;
        return;
    }
    if (!value_send(g))
        call_local_close_send(g->call); /* etcd's gateway logs why, and tells nobody */
    gate_value_drop(g);
}

static bool waits(const struct gate *g)
{
    return g->rest.len > 0 || (g->call != NULL && call_local_paused(g->call));
}

void gate_input(struct gate *g, struct bytes in)
{
    while (in.n > 0 && !g->input_done) {
        enum json_scanned got;
        size_t used;

        if (waits(g)) {
            if (!buf_add_bytes(&g->rest, in))
                fail(g, GRPC_RESOURCE_EXHAUSTED, "out of memory");
            g->paused = true;
            http_pause(g->http);
            return;
        }
        got = json_scan(&g->scan, in, &used);
        value_add(g, bytes_of(in.p, used));
        in = bytes_of(in.p + used, in.n - used);
        if (g->failed)
            return;
        if (got == JSON_SCAN_BAD)
            fail(g, GRPC_INVALID_ARGUMENT, g->scan.text);
        else if (got == JSON_SCAN_DONE)
            value_complete(g);
        if (g->failed && g->route->kind == NET_BIDI)
            call_local_close_send(g->call);
    }
}

/* A method that takes one message: all of the body has come, and it is called now. */
static void call_once(struct gate *g)
{
    if (!gate_open(g))
        return;
    if (g->value.len == 0 ? !call_local_send(g->call, BYTES_EMPTY) : !value_send(g)) {
        gate_refuse(g, g->failed ? g->why_code : GRPC_RESOURCE_EXHAUSTED,
                    g->failed ? g->why : "out of memory");
        return;
    }
    gate_value_drop(g);
    call_local_close_send(g->call);
}

void gate_input_end(struct gate *g)
{
    enum json_scanned got;

    g->end_due = waits(g);
    if (g->end_due)
        return; /* gate_go_on comes back here */
    if (!g->input_done) {
        got = json_scan_end(&g->scan);
        if (got == JSON_SCAN_BAD)
            fail(g, GRPC_INVALID_ARGUMENT, g->scan.text);
        else if (got == JSON_SCAN_DONE)
            value_complete(g);
        else
            gate_value_drop(g); /* blanks */
    }
    if (g->route->kind == NET_BIDI)
        call_local_close_send(g->call);
    else if (g->failed)
        gate_refuse(g, g->why_code, g->why == NULL ? "" : g->why);
    else
        call_once(g);
}

void gate_go_on(struct gate *g)
{
    struct buf rest = g->rest;
    bool paused;

    if (call_local_paused(g->call))
        return;
    buf_init(&g->rest, rest.bytes_max);
    gate_input(g, buf_bytes(&rest));
    buf_done(&rest);
    if (waits(g))
        return;
    /* Over HTTP/2 what was held back comes at once, and may have to wait again. */
    paused = g->paused;
    g->paused = false;
    if (g->end_due)
        gate_input_end(g);
    else if (paused)
        http_resume(g->http);
}
