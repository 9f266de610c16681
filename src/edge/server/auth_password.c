/* auth_password.c -- what all calls with a password share: its jobs, its way into the log. */
#include "edge/server/auth_password.h"

void password_wipe(char *s)
{
    secret_wipe(s, strlen(s));
}

static void unwanted(struct call *c, enum call_cancel_reason why)
{
    struct password_call *p = call_user(c);

    (void) why;
    atomic_store(&p->job.unwanted, true);
}

void password_job_run(struct password_call *p, void (*work)(struct auth_job *j),
                      void (*done)(struct auth_job *j), bool prompt)
{
    if (atomic_load(&p->job.unwanted)) {
        password_wipe(p->password);
        call_finish(p->call, GRPC_CANCELED, "context canceled");
        return;
    }
    p->job.work = work;
    p->job.done = done;
    p->io->outstanding++;
    if (auth_work_submit(p->io->server->auth_work, p->io->loop, &p->job, prompt))
        return;
    p->io->outstanding--;
    password_wipe(p->password);
    reply_error(p->call, API_REQUEST_TOO_MANY_REQUESTS);
}

struct password_call *password_job_back(struct auth_job *j)
{
    struct password_call *p = CONTAINER_OF(j, struct password_call, job);

    p->io->outstanding--;
    if (!atomic_load(&j->unwanted))
        return p;
    password_wipe(p->password);
    call_finish(p->call, GRPC_CANCELED, "context canceled");
    return NULL;
}

struct password_call *password_call_new(struct call *c, char *name, char *password)
{
    struct password_call *p = arena_calloc(call_arena(c), 1, sizeof *p);

    if (p == NULL) {
        reply_no_memory(c);
        return NULL;
    }
    p->call = c;
    p->io = call_io(c);
    p->name = name;
    p->password = password;
    call_set_user(c, p);
    call_on_cancel(c, unwanted);
    return p;
}

void password_call_propose(struct password_call *p, uint32_t op, const ProtobufCMessage *m,
                           void (*then)(struct req *r))
{
    size_t n = wire_size(m);
    uint8_t *body = arena_alloc(call_arena(p->call), n + 1);
    struct req *r = body == NULL ? NULL : req_new(p->call, NODE_REQ_PROPOSE, then);

    if (body == NULL)
        reply_no_memory(p->call);
    if (r == NULL)
        return;
    protobuf_c_message_pack(m, body);
    r->node.op = op;
    r->node.body = bytes_of(body, n);
    r->user = p;
    req_submit(r);
}
