/* net_limits.h -- every limit of the network layer: name, unit, default, reason. */
#ifndef KETCH_ENGINE_NET_NET_LIMITS_H
#define KETCH_ENGINE_NET_NET_LIMITS_H

#include "base/base.h"

/* What a server may be told otherwise (struct net_server_options.limits); net_limits_default fills
 * in the defaults that are named below. */
struct net_limits {
    uint32_t connections_max;        /* per listener; beyond it a new connection is closed */
    uint32_t concurrent_streams_max; /* announced to clients, per connection */
    uint32_t conn_streams_max;       /* really kept open per connection: bounds memory */
    uint32_t recv_message_bytes_max; /* one gRPC message */
    uint32_t header_bytes_max;       /* all header fields of one request, decoded */
    uint32_t http_body_bytes_max;    /* of a plain HTTP request that is read whole */
    size_t call_arena_bytes_max;     /* request message included */
    size_t conn_queued_bytes_max;    /* answers that one connection has not taken yet */
    size_t conn_head_bytes_max;      /* header fields of all open requests of a connection */
    size_t server_opening_bytes_max; /* requests that have begun and are not whole, of all */
    size_t conn_held_bytes_max;      /* messages begun and not finished: a connection's own part */
    size_t server_held_bytes_max;    /* the same of all connections */
    size_t server_kept_bytes_max;    /* what calls keep until they are over, of all connections */
    uint32_t stream_window_bytes;    /* HTTP/2 receive window of a stream */
    uint32_t conn_window_bytes;      /* HTTP/2 receive window of a connection */
    int64_t handshake_ms;            /* of TLS, from accept */
    int64_t first_request_ms;        /* from then until the protocol is known */
    int64_t http_header_ms;          /* until the header of an HTTP/1 request is complete */
    int64_t http_idle_ms;            /* between HTTP/1 requests */
    int64_t keepalive_min_ms;        /* a ping sooner than this after the last is a strike */
    int64_t keepalive_interval_ms;   /* we ping a connection that was silent for so long */
    int64_t keepalive_timeout_ms;    /* and close it when the answer takes longer */
    bool keepalive_enforced;         /* count strikes at all */
};

void net_limits_default(struct net_limits *l);

/* None: shares.h is what bounds them. */
#define NET_CONNECTIONS_MAX UINT32_MAX

/* etcd's --max-concurrent-streams: as good as none. */
#define NET_CONCURRENT_STREAMS_MAX UINT32_MAX

/* An open stream costs 1.3 KiB here and in nghttp2, and what its header fields need: 16,384 idle
 * ones on one connection are 21 MiB, which is more than any client library opens and less than what
 * hurts. */
#define NET_CONN_STREAMS_MAX 16384

/* A kilobyte for each of those; beyond it new requests are refused. */
#define NET_CONN_HEAD_BYTES_MAX (16u << 20)

/* Requests of which the end (of a unary one) or the first message (of a stream) has not come, at
 * NET_OPENING_BYTES each and their header fields.  A client that means it has sent the rest in a
 * moment, so when it is too much the connection that holds most of it is ended: who floods us makes
 * no room for itself at the cost of the others.  Each loop has its part of the limit, which lets
 * one connection have NET_CONN_STREAMS_MAX of them at least. */
#define NET_SERVER_OPENING_BYTES_MAX ((size_t) 48 << 20)
#define NET_OPENING_BYTES 1344
#define NET_LOOP_OPENING_BYTES_MIN ((size_t) NET_CONN_STREAMS_MAX * NET_OPENING_BYTES)

/* Of so many connections the one that holds most is looked for. */
#define NET_OPENING_LOOK_MAX 64

/* Frames of ours that wait because the client does not read, when it makes us refuse a stream. */
#define NET_FRAMES_QUEUED_MAX (2 * NET_CONN_STREAMS_MAX)

/* etcd's --max-request-bytes (1.5 MiB) + 512 KiB of overhead. */
#define NET_RECV_MESSAGE_BYTES_MAX (2u << 20)

/* A message of an answer, whatever holds it: what grpc-go sends at most, and clients read. */
#define NET_SEND_MESSAGE_BYTES_MAX 0x7fffffffu

/* A JWT and a few metadata entries are below 16 KiB; grpc-go allows 16 MiB, which invites abuse. */
#define NET_HEADER_BYTES_MAX (64u << 10)

/* Fields of one header block: grpc clients send about ten. */
#define NET_HEADER_FIELDS_MAX 256

/* 4 x max-request-bytes is enough for base64 and blanks of the JSON gateway. */
#define NET_HTTP_BODY_BYTES_MAX (6u << 20)

/* A request of 2 MiB, decoded beside it, and the head of its answer. */
#define NET_CALL_ARENA_BYTES_MAX (16u << 20)

/* A thousand watchers with 64 KiB each; beyond it call_send refuses and new calls are refused. */
#define NET_CONN_QUEUED_BYTES_MAX (64u << 20)

/* Messages on their way and not whole, and whole ones of calls that are not over if they came in
 * parts: what a connection has for itself.  Beyond it, it may have as much of
 * NET_SERVER_HELD_BYTES_MAX as is then left free: a hundred large requests at once on one
 * connection are no attack while nobody else needs the room. */
#define NET_CONN_HELD_BYTES_MAX (64u << 20)
#define NET_SERVER_HELD_BYTES_MAX (512u << 20)

/* What calls keep whose request is whole (kept.h): requests that wait, answers that are not taken.
 * Eight connections that take nothing, or thousands of slow watch streams; beyond it the connection
 * that keeps most is ended. */
#define NET_SERVER_KEPT_BYTES_MAX ((size_t) 512 << 20)

/* Of so many connections the one that keeps most is looked for; who took something of his answers
 * so lately weighs less by so much. */
#define NET_KEPT_LOOK_MAX 64
#define NET_KEPT_TAKES_MS 1000
#define NET_KEPT_TAKER 4

/* A connection with no more than this has its requests taken whatever others keep. */
#define NET_CONN_KEPT_OWN_BYTES (64u << 10)

/* Large windows save WINDOW_UPDATE frames.  What they let in is bounded by the held limits. */
#define NET_STREAM_WINDOW_BYTES (1u << 20)
#define NET_CONN_WINDOW_BYTES (64u << 20)

/* etcd's client listener waits 5 min for a request header. */
#define NET_FIRST_REQUEST_MS (60 * 1000)
#define NET_HTTP_HEADER_MS (5 * 60 * 1000)
#define NET_HTTP_IDLE_MS (5 * 60 * 1000)

/* How long a connection that we have ended may take to end its side, and how long one that we told
 * to go may take to read that. */
#define NET_LINGER_MS 1000
#define NET_FAREWELL_MS 5000

/* etcd's --grpc-keepalive-*. */
#define NET_KEEPALIVE_MIN_MS 5000
#define NET_KEEPALIVE_INTERVAL_MS (2 * 60 * 60 * 1000)
#define NET_KEEPALIVE_TIMEOUT_MS (20 * 1000)

/* grpc-go: the third ping that comes too soon ends the connection; with no call open, "too soon" is
 * sooner than two hours. */
#define NET_PING_STRIKES_MAX 2
#define NET_PING_IDLE_MIN_MS (2 * 60 * 60 * 1000)

/* Rapid reset (CVE-2023-44487): streams that the client resets before we answered, per connection
 * and second, beyond the streams that it let finish. */
#define NET_RESETS_PER_SECOND_MAX 1000

/* Frames that cost us work and bring nothing (SETTINGS, PRIORITY, empty DATA, WINDOW_UPDATE on
 * nothing, CONTINUATION), per connection and second. */
#define NET_IDLE_FRAMES_PER_SECOND_MAX 10000

/* CONTINUATION frames of one header block (CVE-2024-28182). */
#define NET_CONTINUATIONS_MAX 8

/* We stop taking frames out of a session while so much of it waits for the socket: much, because
 * each write may wake up who reads, and less as long as so much of what was written before is on
 * its way, because what a socket does not take we keep. */
#define NET_OUT_HIGH_BYTES (512u << 10)
#define NET_OUT_SLOW_BYTES (256u << 10)

/* The same for a greedy connection, while a modest one is near. */
#define NET_OUT_GREEDY_BYTES (16u << 10)

/* Pieces at least this long are written from where they lie (writev), shorter ones are copied. */
#define NET_OUT_REF_BYTES 4096

/* The rest of a plain request's body that is taken and thrown away after an early answer; who has
 * more to send is told to stop. */
#define NET_UNREAD_BYTES_MAX (64u << 10)

/* What one read takes from a socket. */
#define NET_READ_BYTES (256u << 10)

/* ---- turns: turn.h ---- */

/* How long the requests of one connection are begun before the others have their turn, and how long
 * in a turn all those together that were cut short before, or owe output, or end: among their
 * like, because short slices cost writes. */
#define NET_SLICE_US 500
#define NET_LATER_US 200

/* As long as a modest connection is near, NET_MODEST_US after the last of these had something to
 * say: a batch of a hundred small requests fits, and who asks for more delays it by a fraction of
 * what an answer takes. */
#define NET_MODEST_US 10000
#define NET_SLICE_MODEST_US 200
#define NET_SLICE_GREEDY_US 30

/* So long may greedy ones wait for a turn in which no modest one was served. */
#define NET_LATER_WAIT_US 200

/* Who is greedy.  A slice that was cut short and a round of output that left some cost a connection
 * NET_CUT, what was handled within one slice gives 1 back.  A new connection has to show that it is
 * modest, and others are as careful as if it were. */
#define NET_CUT 2u
#define NET_CUTS_GREEDY 4
#define NET_CUTS_NEW 6
#define NET_CUTS_MAX 16

/* How long a turn takes new connections from one listener. */
#define NET_ACCEPT_US 50

/* Frames that begin no request (pings, settings, windows) are taken so many bytes at a time. */
#define NET_FEED_BYTES (1u << 10)

/* Input that the connections of a loop carry from turn to turn; beyond it they read little at a
 * time, and so does who yields: for 256 KB of a flood the kernel takes 70 us, and as long again to
 * acknowledge them. */
#define NET_CARRIED_BYTES_MAX (16u << 20)
#define NET_READ_LITTLE_BYTES (16u << 10)

/* What one connection can carry: a read, and what of the one before TLS could not yet decrypt. */
#define NET_CARRY_BYTES_MAX (NET_READ_BYTES + (64u << 10))

/* ---- TLS ---- */

/* What one read takes before the handshake is over: all that anybody says until then, and little to
 * hold for a client of whom nothing is known yet. */
#define NET_HANDSHAKE_READ_BYTES (16u << 10)

/* What a record holds at most (RFC 8446 5.1); all that we write are as long, the last one apart. */
#define NET_RECORD_BYTES ((size_t) 16384)

/* etcd gives a handshake 10 s. */
#define NET_HANDSHAKE_MS (10 * 1000)

/* Steps of handshakes that a loop's worker is given at a time, a millisecond each with an RSA key:
 * enough that it need not wait for the loop, and no more, because who is next is decided late. */
#define NET_HANDSHAKES_AWAY_MAX 4

/* Handshakes of one loop that were begun and not finished, about 40 KiB each.  Further ones wait;
 * one that has been quiet for so long makes room, because who means it needs milliseconds. */
#define NET_HANDSHAKES_MAX 1024
#define NET_HANDSHAKE_PATIENCE_MS 1000

#endif
