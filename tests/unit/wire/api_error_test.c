#include "wire/api_error.h"

#include "lib/cm.h"

/* Every error has a code of gRPC and a text, and its text alone finds it again. */
static void each_is_found_by_its_text(void **state)
{
    (void) state;
    for (int i = 1; i < API_ERROR_END; i++) {
        enum api_error e = (enum api_error) i;
        const char *text = api_error_text(e);

        assert_true(strlen(text) > 0);
        assert_non_null(grpc_code_name(api_error_code(e)));
        assert_int_not_equal(api_error_code(e), GRPC_OK);
        assert_string_equal(api_error_text(api_error_find(bytes_str(text))), text);
    }
}

/* Codes and texts that clients look for, as the reference has them. */
static void well_known(void **state)
{
    (void) state;
    assert_int_equal(api_error_code(API_MEMBER_NOT_FOUND), GRPC_NOT_FOUND);
    assert_string_equal(api_error_text(API_MEMBER_NOT_FOUND), "etcdserver: member not found");
    assert_int_equal(api_error_code(API_MEMBER_NOT_ENOUGH_STARTED), GRPC_UNKNOWN);
    assert_int_equal(api_error_code(API_TOO_MANY_LEARNERS), GRPC_FAILED_PRECONDITION);
    assert_int_equal(api_error_code(API_EMPTY_KEY), GRPC_INVALID_ARGUMENT);
}

/* No error is found for other texts, and no name for codes that gRPC has not. */
static void unknown(void **state)
{
    (void) state;
    assert_int_equal(api_error_find(BYTES_LIT("etcdserver: no such thing")), API_OK);
    assert_int_equal(api_error_find(BYTES_LIT("etcdserver: member not foun")), API_OK);
    assert_string_equal(grpc_code_name(GRPC_UNAUTHENTICATED), "Unauthenticated");
    assert_null(grpc_code_name(17));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_found_by_its_text),
        cmocka_unit_test(well_known),
        cmocka_unit_test(unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
