/* What other members are told when a question to this one's state has failed. */
#include "edge/peer/asks.h"
#include "lib/cm.h"

static void fails(struct node_result res, int status, const char *text)
{
    const char *got = NULL;

    assert_int_equal(peer__ask_failure(&res, &got), status);
    if (status == 0)
        assert_null(got);
    else
        assert_string_equal(got, text);
}

/* A leader that is behind in applying says so with a status at which the other member asks again;
 * anything else that fails is a bad request, in the words of the failure. */
static void a_failed_question_has_etcds_status(void **state)
{
    (void) state;
    fails((struct node_result){0}, 0, NULL);
    fails((struct node_result){.err = API_TIMEOUT_WAIT_APPLIED_INDEX}, 408,
          "waiting for node to catch up its applied index has timed out");
    fails((struct node_result){.err = API_STOPPED}, 400, "etcdserver: server stopped");
    fails((struct node_result){.code = GRPC_UNKNOWN, .text = "not a primary lessor"}, 400,
          "not a primary lessor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_question_has_etcds_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
