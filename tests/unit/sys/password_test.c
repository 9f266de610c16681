/* bcrypt: hashes as etcd's, and which passwords fit them. */
#include "sys/password.h"

#include "lib/cm.h"

static const uint8_t salt[PASSWORD_SALT_BYTES] = {1, 2,  3,  4,  5,  6,  7,  8,
                                                  9, 10, 11, 12, 13, 14, 15, 16};

/* A hash has 60 characters, names its cost, and fits its password only. */
static void what_is_hashed_fits(void **state)
{
    char hash[PASSWORD_HASH_BYTES + 1];

    (void) state;
    assert_true(password_hash("secret", PASSWORD_COST_MIN, salt, hash));
    assert_int_equal(strlen(hash), PASSWORD_HASH_BYTES);
    assert_memory_equal(hash, "$2a$04$", 7);
    assert_true(password_fits("secret", bytes_str(hash)));
    assert_false(password_fits("Secret", bytes_str(hash)));
    assert_false(password_fits("", bytes_str(hash)));
    hash[2] = 'y';
    assert_true(password_fits("secret", bytes_str(hash)));
}

/* A known pair (crypt_blowfish's own test vector). */
static void a_hash_of_others_fits(void **state)
{
    (void) state;
    assert_true(password_fits(
        "U*U", BYTES_LIT("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")));
    assert_false(password_fits(
        "U*U*", BYTES_LIT("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")));
    /* Bytes above 127, hashed as everybody but one old program does ($2a$ is not libxcrypt's). */
    assert_true(
        password_fits("\xff\xff\xa3",
                      BYTES_LIT("$2a$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaRMq5qj3Q1DyIhRUiKj5dWyG")) ==
        password_fits("\xff\xff\xa3",
                      BYTES_LIT("$2y$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaRMq5qj3Q1DyIhRUiKj5dWyG")));
}

/* The empty password is one; what is too long, and costs out of range, are refused. */
static void limits_hold(void **state)
{
    char hash[PASSWORD_HASH_BYTES + 1], longest[PASSWORD_BYTES_MAX + 2];

    (void) state;
    assert_true(password_hash("", PASSWORD_COST_MIN, salt, hash));
    assert_true(password_fits("", bytes_str(hash)));
    memset(longest, 'x', sizeof longest);
    longest[PASSWORD_BYTES_MAX + 1] = 0;
    assert_false(password_hash(longest, PASSWORD_COST_MIN, salt, hash));
    longest[PASSWORD_BYTES_MAX] = 0;
    assert_true(password_hash(longest, PASSWORD_COST_MIN, salt, hash));
    assert_false(password_hash("x", PASSWORD_COST_MIN - 1, salt, hash));
    assert_false(password_hash("x", PASSWORD_COST_MAX + 1, salt, hash));
}

/* What is no hash fits nothing. */
static void damaged_hashes_fit_nothing(void **state)
{
    (void) state;
    assert_false(password_fits("", BYTES_EMPTY));
    assert_false(password_fits("x", BYTES_LIT("$1$abc$def")));
    assert_false(password_fits(
        "U*U", BYTES_LIT("$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")));
    assert_false(password_fits(
        "U*U", BYTES_LIT("$2a$99$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_hashed_fits),
        cmocka_unit_test(a_hash_of_others_fits),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(damaged_hashes_fit_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
