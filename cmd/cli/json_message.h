/* json_message.h -- any generated message as Go's encoding/json writes the struct of the same
 * message: the fields' own names, in the order of their numbers, empty ones left out, enums as
 * numbers.  This is etcdctl's JSON; the gateway's (protojson) is another. */
#ifndef KETCH_CMD_CLI_JSON_MESSAGE_H
#define KETCH_CMD_CLI_JSON_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "cli/json_out.h"

/* The object {...}; a NULL message is left out. */
void json_message(struct json_out *j, const char *name, const ProtobufCMessage *m);

/* Its members only, into an object that the caller has begun. */
void json_members(struct json_out *j, const ProtobufCMessage *m);

#endif
