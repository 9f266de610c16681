/* grpc_proxy.h -- `etcd grpc-proxy`: the gRPC proxy as a program. */
#ifndef KETCH_CMD_ETCD_GRPC_PROXY_H
#define KETCH_CMD_ETCD_GRPC_PROXY_H

/* Does the command line ask for it? */
#define GRPC_PROXY_COMMAND "grpc-proxy"

/* Runs until a signal ends it; returns the exit status when it does not come that far. */
int grpc_proxy_main(int argc, char **argv);

#endif
