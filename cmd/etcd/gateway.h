/* gateway.h -- `etcd gateway`: a door before a cluster that hands connections on. */
#ifndef KETCH_CMD_ETCD_GATEWAY_H
#define KETCH_CMD_ETCD_GATEWAY_H

/* The first word of a command line that asks for it. */
#define GATEWAY_COMMAND "gateway"

/* Serves until a signal ends the process; returns the exit status when it does not come that far.
 */
int gateway_main(int argc, char **argv);

#endif
