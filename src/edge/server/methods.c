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

void methods_register(struct metrics *m, bool extensive, struct method_metrics ret[METHODS_N])
{
    const char *const *labels = METRIC_LABELS("grpc_type", "grpc_service", "grpc_method");
    const char *const *coded = METRIC_LABELS("grpc_type", "grpc_service", "grpc_method",
                                             "grpc_code");
    struct metric_family *started, *handled, *received, *sent, *seconds = NULL;

    started = metrics_family(m, METRIC_COUNTER, METRIC_PLAIN, "grpc_server_started_total",
                             "Total number of RPCs started on the server.", labels);
    handled = metrics_family(
        m, METRIC_COUNTER, METRIC_PLAIN, "grpc_server_handled_total",
        "Total number of RPCs completed on the server, regardless of success or failure.", coded);
    received = metrics_family(m, METRIC_COUNTER, METRIC_PLAIN, "grpc_server_msg_received_total",
                              "Total number of RPC stream messages received on the server.",
                              labels);
    sent = metrics_family(m, METRIC_COUNTER, METRIC_PLAIN, "grpc_server_msg_sent_total",
                          "Total number of gRPC stream messages sent by the server.", labels);
    if (extensive)
        seconds = metrics_histogram_family(
            m, "grpc_server_handling_seconds",
            "Histogram of response latency (seconds) of gRPC that had been application-level "
            "handled by the server.",
            METRIC_GRPC_SECONDS.bounds, METRIC_GRPC_SECONDS.n, METRIC_NS_PER_S, labels);
    for (size_t i = 0; i < METHODS_N; i++) {
        const char *type = type_name(methods[i].kind);
        const char *service = methods[i].service, *method = methods[i].method;

        ret[i].started = metric_with(started, METRIC_LABELS(type, service, method));
        ret[i].received = metric_with(received, METRIC_LABELS(type, service, method));
        ret[i].sent = metric_with(sent, METRIC_LABELS(type, service, method));
        ret[i].seconds = histogram_with(seconds, METRIC_LABELS(type, service, method));
        for (unsigned code = 0; code < METHOD_CODES_N; code++)
            ret[i].handled[code] = metric_with(
                handled, METRIC_LABELS(type, service, method, grpc_code_name(code)));
    }
}
