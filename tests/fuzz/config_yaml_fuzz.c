/* A configuration file of any bytes is read, or refused with words; what was read passes the checks
 * or is refused by them. */
#include "edge/server/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct config c;
    struct err e = ERR_INIT;
    bool plain;

    config_init(&c);
    if (config_parse_yaml(&c, bytes_of(data, n), &plain, &e) != 0) {
        ASSERT(e.msg[0] != 0);
    } else if (config_check(&c, &e) != 0 || config_check_start(&c, false, &e) != 0) {
        ASSERT(e.msg[0] != 0);
    } else {
        ASSERT(c.cluster_n > 0);
        ASSERT(c.heartbeat_interval * 5 <= c.election_timeout);
    }
    config_done(&c);
    return 0;
}
