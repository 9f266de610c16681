/* auth.c -- the Auth service: its methods, and those of them that need no more than the log.  The
 * others are in auth_login.c and auth_user.c. */
#include "edge/server/auth_password.h"
#include "wire/pb.h"

static const struct {
    enum method_id id;
    uint32_t op;
    const ProtobufCMessageDescriptor *request;
} plain[] = {
    {METHOD_AUTH_ENABLE, 1000, &etcdserverpb__auth_enable_request__descriptor},
    {METHOD_AUTH_DISABLE, 1011, &etcdserverpb__auth_disable_request__descriptor},
    {METHOD_AUTH_STATUS, 1013, &etcdserverpb__auth_status_request__descriptor},
    {METHOD_USER_GET, 1102, &etcdserverpb__auth_user_get_request__descriptor},
    {METHOD_USER_LIST, 1106, &etcdserverpb__auth_user_list_request__descriptor},
    {METHOD_USER_DELETE, 1101, &etcdserverpb__auth_user_delete_request__descriptor},
    {METHOD_USER_GRANT_ROLE, 1104, &etcdserverpb__auth_user_grant_role_request__descriptor},
    {METHOD_USER_REVOKE_ROLE, 1105, &etcdserverpb__auth_user_revoke_role_request__descriptor},
    {METHOD_ROLE_ADD, 1200, &etcdserverpb__auth_role_add_request__descriptor},
    {METHOD_ROLE_GET, 1202, &etcdserverpb__auth_role_get_request__descriptor},
    {METHOD_ROLE_LIST, 1107, &etcdserverpb__auth_role_list_request__descriptor},
    {METHOD_ROLE_DELETE, 1201, &etcdserverpb__auth_role_delete_request__descriptor},
    {METHOD_ROLE_GRANT_PERMISSION, 1203,
     &etcdserverpb__auth_role_grant_permission_request__descriptor},
    {METHOD_ROLE_REVOKE_PERMISSION, 1204,
     &etcdserverpb__auth_role_revoke_permission_request__descriptor},
};

/* A name ends at its first zero byte here and would go on in etcd: members would differ. */
static bool has_cut_text(const ProtobufCMessageDescriptor *d, struct bytes message)
{
    struct pb_reader r = pb_reader_of(message);
    struct pb_field f;

    while (pb_next(&r, &f)) {
        const ProtobufCFieldDescriptor *x = protobuf_c_message_descriptor_get_field(d, f.number);

        if (x != NULL && x->type == PROTOBUF_C_TYPE_STRING && f.type == PB_LEN && f.bytes.n != 0 &&
            memchr(f.bytes.p, 0, f.bytes.n) != NULL)
            return true;
    }
    return false;
}

/* A user or role whose name cannot be a key of the data file would stop every member that applies
 * the request, now and whenever it reads its log again; it stops etcd. */
static bool adds_long_name(const ProtobufCMessageDescriptor *d, const void *request)
{
    const char *name = "";

    if (d == &etcdserverpb__auth_user_add_request__descriptor)
        name = ((const Etcdserverpb__AuthUserAddRequest *) request)->name;
    else if (d == &etcdserverpb__auth_role_add_request__descriptor)
        name = ((const Etcdserverpb__AuthRoleAddRequest *) request)->name;
    return strlen(name) > AUTH_NAME_BYTES_MAX;
}

bool auth_call_take(struct call *c, const ProtobufCMessageDescriptor *d, struct bytes *message,
                    void *ret)
{
    count_received(c, (enum method_id) call_method(c)->tag);
    if (!request_decode(c, d, message, ret))
        return false;
    if (has_cut_text(d, *message))
        call_finish(c, GRPC_INVALID_ARGUMENT, "etcdserver: names and passwords have no zero bytes");
    else if (adds_long_name(d, *(void **) ret))
        call_finish(c, GRPC_INVALID_ARGUMENT, "etcdserver: names are no longer than 32768 bytes");
    else
        return true;
    return false;
}

static void plain_request(struct call *c, struct bytes message)
{
    ProtobufCMessage *m;
    size_t i = 0;

    while (plain[i].id != (enum method_id) call_method(c)->tag)
        i++;
    if (auth_call_take(c, plain[i].request, &message, &m))
        req_propose(c, plain[i].op, message, req_message_done);
}

const struct net_method auth_methods[] = {
    METHOD_UNARY(AUTH_ENABLE, plain_request),
    METHOD_UNARY(AUTH_DISABLE, plain_request),
    METHOD_UNARY(AUTH_STATUS, plain_request),
    METHOD_UNARY(AUTHENTICATE, auth_call_authenticate),
    METHOD_UNARY(USER_ADD, auth_call_user_add),
    METHOD_UNARY(USER_GET, plain_request),
    METHOD_UNARY(USER_LIST, plain_request),
    METHOD_UNARY(USER_DELETE, plain_request),
    METHOD_UNARY(USER_CHANGE_PASSWORD, auth_call_user_change_password),
    METHOD_UNARY(USER_GRANT_ROLE, plain_request),
    METHOD_UNARY(USER_REVOKE_ROLE, plain_request),
    METHOD_UNARY(ROLE_ADD, plain_request),
    METHOD_UNARY(ROLE_GET, plain_request),
    METHOD_UNARY(ROLE_LIST, plain_request),
    METHOD_UNARY(ROLE_DELETE, plain_request),
    METHOD_UNARY(ROLE_GRANT_PERMISSION, plain_request),
    METHOD_UNARY(ROLE_REVOKE_PERMISSION, plain_request),
};
const size_t auth_methods_n = ARRAY_LEN(auth_methods);
