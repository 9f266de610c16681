/* election.h -- what the files of the Election service share.  Private to edge/server. */
#ifndef KETCH_EDGE_SERVER_ELECTION_H
#define KETCH_EDGE_SERVER_ELECTION_H

#include "edge/server/server_int.h"
#include "wire/pb.h"

#define ELECTION_NOT_LEADER "election: not leader"
#define ELECTION_HEAD_BYTES_MAX (HEADER_BYTES_MAX + 1 + PB_VARINT_BYTES_MAX)

/* A LeaderResponse: the header in front of the stored pair.  Returns the number of pieces. */
size_t election_pieces(const struct mvcc_header *h, struct bytes kv,
                       uint8_t head[ELECTION_HEAD_BYTES_MAX], struct net_piece ret[2]);

void election_observe(struct call *c, struct bytes message);

#endif
