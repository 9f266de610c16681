#include "edge/server/methods.h"

#include "wire/api_error.h"

const struct method_info methods[METHODS_N] = {
#define X(id, service, method, kind) {service, method, "/" service "/" method, NET_##kind},
    METHOD_MAP(X)
#undef X
};

static const char *type_name(enum net_method_kind kind)
{
    switch (kind) {
    case NET_UNARY:
        return "unary";
    case NET_SERVER_STREAM:
        return "server_stream";
    default:
        return "bidi_stream";
    }
}

static void register_one(struct methods_metrics *m, enum method_id id)
{
    const struct method_info *info = &methods[id];
    const char *const *labels = METRIC_LABELS(type_name(info->kind), info->service, info->method);
    struct method_metrics *one = &m->of[id];

    one->started = metric_with(m->families[METHOD_STARTED], labels);
    one->received = metric_with(m->families[METHOD_RECEIVED], labels);
    one->sent = metric_with(m->families[METHOD_SENT], labels);
    one->seconds = histogram_with(m->seconds, labels);
    for (unsigned code = 0; code < METHOD_CODES_N; code++)
        one->handled[code] = metric_with(m->families[METHOD_HANDLED],
                                         METRIC_LABELS(type_name(info->kind), info->service,
                                                       info->method, grpc_code_name(code)));
}

void methods_register(struct metrics *m, bool extensive, struct methods_metrics *ret)
{
    const char *const *labels = METRIC_LABELS("grpc_type", "grpc_service", "grpc_method");

    ret->families[METHOD_STARTED] = metrics_family(
        m, METRIC_COUNTER, METRIC_PLAIN, "grpc_server_started_total",
        "Total number of RPCs started on the server.", labels);
    ret->families[METHOD_HANDLED] = metrics_family(
        m, METRIC_COUNTER, METRIC_PLAIN, "grpc_server_handled_total",
        "Total number of RPCs completed on the server, regardless of success or failure.",
        METRIC_LABELS("grpc_type", "grpc_service", "grpc_method", "grpc_code"));
    ret->families[METHOD_RECEIVED] = metrics_family(
        m, METRIC_COUNTER, METRIC_PLAIN, "grpc_server_msg_received_total",
        "Total number of RPC stream messages received on the server.", labels);
    ret->families[METHOD_SENT] = metrics_family(
        m, METRIC_COUNTER, METRIC_PLAIN, "grpc_server_msg_sent_total",
        "Total number of gRPC stream messages sent by the server.", labels);
    if (extensive)
        ret->seconds = metrics_histogram_family(
            m, "grpc_server_handling_seconds",
            "Histogram of response latency (seconds) of gRPC that had been application-level "
            "handled by the server.",
            METRIC_GRPC_SECONDS.bounds, METRIC_GRPC_SECONDS.n, METRIC_NS_PER_S, labels);
    for (enum method_id id = 0; id < METHODS_LATE; id++)
        register_one(ret, id);
}

void methods_count_late(struct methods_metrics *m, enum method_id id, enum method_count what,
                        int code)
{
    const struct method_info *info = &methods[id];
    const char *type = type_name(info->kind);

    if (what == METHOD_HANDLED)
        metric_inc(metric_with(m->families[what], METRIC_LABELS(type, info->service, info->method,
                                                                grpc_code_name((unsigned) code))));
    else
        metric_inc(
            metric_with(m->families[what], METRIC_LABELS(type, info->service, info->method)));
}

void methods_count_handled(struct methods_metrics *m, enum method_id id, int code, mono_ns took)
{
    const struct method_info *info = &methods[id];

    ASSERT(code >= 0);
    ASSERT(code < METHOD_CODES_N);
    if (LIKELY(id < METHODS_LATE)) {
        metric_inc(m->of[id].handled[code]);
        histogram_observe(m->of[id].seconds, took);
        return;
    }
    methods_count_late(m, id, METHOD_HANDLED, code);
    histogram_observe(histogram_with(m->seconds, METRIC_LABELS(type_name(info->kind), info->service,
                                                               info->method)),
                      took);
}
