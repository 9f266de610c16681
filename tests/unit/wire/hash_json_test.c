#include "lib/cm.h"
#include "wire/hash_json.h"

/* A question reads as Go's decoder reads it, and its refusals are the same. */
static void questions_read_as_in_go(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t revision;
    } cases[] = {
        {"{\"revision\":53}", true, 53},
        {"{\"Revision\":53}\n", true, 53},
        {"{}", true, 0},
        {"null", true, 0},
        {"{\"revision\":null}", true, 0},
        {"{\"revision\":-1,\"x\":[{}]}", true, -1},
        {"", false, 0},
        {"[]", false, 0},
        {"{\"revision\":\"53\"}", false, 0},
        {"{\"revision\":1.5}", false, 0},
        {"{\"revision\":1}x", false, 0},
        {"{\"revision\":1", false, 0},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t revision = 77;

        assert_int_equal(hash_question_parse(bytes_str(cases[i].text), &revision), cases[i].ok);
        if (cases[i].ok)
            assert_int_equal(revision, cases[i].revision);
    }
}

/* What was written is what a real member sent, and reads as what it was. */
static void answers_go_both_ways(void **state)
{
    static const struct {
        const char *text;
        struct hash_answer a;
    } cases[] = {
        {"{\"header\":{\"revision\":53},\"hash\":3815929416,\"compact_revision\":4,"
         "\"hash_revision\":53}",
         {53, 3815929416, 4, 53}},
        {"{\"header\":{\"revision\":2},\"hash\":1084519789,\"compact_revision\":-1}",
         {2, 1084519789, -1, 0}},
        {"{\"header\":{\"revision\":1}}", {1, 0, 0, 0}},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct hash_answer a;
        struct buf b;

        assert_true(hash_answer_parse(bytes_str(cases[i].text), &a));
        assert_memory_equal(&a, &cases[i].a, sizeof a);
        buf_init(&b, 1024);
        assert_true(hash_answer_put(&a, &b));
        assert_string_equal(buf_cstr(&b), cases[i].text);
        buf_done(&b);
    }
}

/* An answer that cannot be one is refused: another type, a hash beyond 32 bits, no object. */
static void odd_answers_are_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "null",
                                        "[]",
                                        "{\"hash\":4294967296}",
                                        "{\"hash\":-1}",
                                        "{\"hash\":\"1\"}",
                                        "{\"header\":1}",
                                        "{\"header\":{\"revision\":true}}"};
    struct hash_answer a;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_false(hash_answer_parse(bytes_str(texts[i]), &a));
}

/* A question is written as Go writes it. */
static void questions_are_written(void **state)
{
    struct buf b;

    (void) state;
    buf_init(&b, 64);
    assert_true(hash_question_put(53, &b));
    assert_true(hash_question_put(0, &b));
    assert_string_equal(buf_cstr(&b), "{\"revision\":53}{}");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_read_as_in_go),
        cmocka_unit_test(answers_go_both_ways),
        cmocka_unit_test(odd_answers_are_refused),
        cmocka_unit_test(questions_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
