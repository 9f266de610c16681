/* grpc.health.v1: this member serves, from the moment at which clients are let in. */
#include "edge/server/server_int.h"
#include "health.pb-c.h"

static void check(struct call *c, struct bytes message)
{
    Grpc__Health__V1__HealthCheckRequest *q;
    Grpc__Health__V1__HealthCheckResponse res = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    count_received(c, METHOD_HEALTH_CHECK);
    if (!REQUEST_DECODE(c, grpc__health__v1__health_check_request, message, &q))
        return;
    if (*q->service != 0) {
        call_finish(c, GRPC_NOT_FOUND, "unknown service");
        return;
    }
    res.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    reply_message(c, NULL, &res.base);
}

static void list(struct call *c, struct bytes message)
{
    Grpc__Health__V1__HealthListRequest *q;
    Grpc__Health__V1__HealthCheckResponse serving = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    Grpc__Health__V1__HealthListResponse__Entry entry;
    Grpc__Health__V1__HealthListResponse__Entry *entries[] = {&entry};
    Grpc__Health__V1__HealthListResponse res = GRPC__HEALTH__V1__HEALTH_LIST_RESPONSE__INIT;

    count_received(c, METHOD_HEALTH_LIST);
    if (!REQUEST_DECODE(c, grpc__health__v1__health_list_request, message, &q))
        return;
    serving.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    grpc__health__v1__health_list_response__entry__init(&entry);
    entry.value = &serving;
    res.statuses = entries;
    res.n_statuses = 1;
    reply_message(c, NULL, &res.base);
}

static void watch_canceled(struct call *c, enum call_cancel_reason why)
{
    (void) why;
    call_finish(c, GRPC_CANCELED, "Stream has ended.");
}

/* One message with the state of now; it does not change while this member serves. */
static void watch(struct call *c, struct bytes message)
{
    Grpc__Health__V1__HealthCheckRequest *q;
    uint8_t body[2] = {1 << 3, 0}; /* status, a varint below 128 */
    struct net_piece piece = net_piece_copied(body, sizeof body);

    count_received(c, METHOD_HEALTH_WATCH);
    if (!REQUEST_DECODE(c, grpc__health__v1__health_check_request, message, &q))
        return;
    body[1] = *q->service == 0
                  ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                  : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
    if (call_send(c, &piece, 1) != 0) {
        reply_no_memory(c);
        return;
    }
    count_sent(call_io(c), METHOD_HEALTH_WATCH);
    call_on_cancel(c, watch_canceled);
}

const struct net_method health_methods[] = {
    METHOD_UNARY(HEALTH_CHECK, check),
    METHOD_UNARY(HEALTH_LIST, list),
    METHOD_SERVER_STREAM(HEALTH_WATCH, watch),
};
const size_t health_methods_n = ARRAY_LEN(health_methods);
