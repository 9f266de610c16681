/* TLS of listeners and of our own connections: what is refused and with which words, files that
 * change, handshakes that never end. (That all else works over TLS as without is shown by
 * grpc_call_test and its like and http_client_test, which run twice.) */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/stat.h>

#include <openssl/err.h>

#include "engine/net/http_client.h"
#include "engine/net/tls_int.h"
#include "unit/engine/net/tls_rig.h"

#define PATH_BYTES 128

/* ---- certificates ---- */

static struct tls *make_tls(const struct tls_options *o)
{
    struct tls *t = NULL;
    struct err e = ERR_INIT;

    assert_int_equal(tls_new(o, &t, &e), 0);
    return t;
}

/* A second self-signed pair, in `dir`. */
static void other_pair(const char *dir, const char *host, char *cert, char *key)
{
    struct tls_self self = {
        .dir = dir, .hosts = &host, .hosts_n = 1, .years = 1, .for_clients = true};
    struct err e = ERR_INIT;
    bool made;

    assert_int_equal(tls_self_signed(&self, cert, key, &made, &e), 0);
    assert_true(made);
}

static void remove_pair(const char *dir, const char *cert, const char *key)
{
    unlink(cert);
    unlink(key);
    rmdir(dir);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

/* Keys of certificates are of P-521 here (tls_self_signed); this one is not. */
static const char ed25519_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIBUKLsR82W9RIV8kcIM+JbZBYnwWzWRbx+qz+C7WDXID\n"
    "-----END PRIVATE KEY-----\n";

/* ---- options ---- */

/* What cannot work is refused when the configuration is made, in words that name the file or the
 * value. */
static void refused_options(void **state)
{
    static const char *const a[] = {"a"}, *const foo[] = {"FOO"};
    const struct {
        struct tls_options o;
        const char *want;
    } rows[] = {
        {{.server = true}, "KeyFile and CertFile must both be present[key: , cert: ]"},
        {{.cert_file = "c"}, "KeyFile and CertFile must both be present[key: , cert: c]"},
        {{.key_file = "k"}, "KeyFile and CertFile must both be present[key: k, cert: ]"},
        {{.cert_file = "/none/c", .key_file = "k"}, "open /none/c: no such file or directory"},
        {{.cert_file = rig_tls.cert, .key_file = "/none/k"},
         "open /none/k: no such file or directory"},
        {{.ca_file = "/none/ca"}, "open /none/ca: no such file or directory"},
        {{.allowed_cns = {a, 1}, .allowed_hostnames = {a, 1}},
         "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\"a\"], hostnames=[\"a\"])"},
        {{.cipher_suites = {foo, 1}}, "unexpected TLS cipher suite \"FOO\""},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls *t = NULL;
        struct err e = ERR_INIT;

        assert_int_not_equal(tls_new(&rows[i].o, &t, &e), 0);
        assert_string_equal(e.msg, rows[i].want);
        assert_null(t);
    }
}

/* Files that are no pair, or not what they should be, are refused as etcd refuses them: its
 * operators know these texts. */
static void unusable_files(void **state)
{
#define BLOCK(name) "-----BEGIN " name "-----\nAAAA\n-----END " name "-----\n"
    char dir[] = "/tmp/tls-test-XXXXXX", path[PATH_BYTES], is_a_dir[PATH_BYTES];
    const char *cert = rig_tls.cert, *key = rig_tls.key;
    const struct {
        const char *text; /* of `path` */
        const char *cert, *key, *ca;
        const char *want;
    } rows[] = {
        {ed25519_key, cert, path, NULL, "tls: private key type does not match public key type"},
        {"", key, cert, NULL,
         "tls: failed to find certificate PEM data in certificate input, but did find a private "
         "key; PEM inputs may have been switched"},
        {"", cert, cert, NULL,
         "tls: found a certificate rather than a key in the PEM for the private key"},
        {BLOCK("ENCRYPTED PRIVATE KEY"), cert, path, NULL, "tls: failed to parse private key"},
        {BLOCK("EC PARAMETERS") BLOCK("PRIVATE KEY"), cert, path, NULL,
         "tls: failed to parse private key"},
        {"hello\n", cert, path, NULL, "tls: failed to find any PEM data in key input"},
        {"", path, key, NULL, "tls: failed to find any PEM data in certificate input"},
        {BLOCK("CERTIFICATE"), path, key, NULL, "x509: malformed certificate"},
        {BLOCK("X509 CRL"), path, key, NULL,
         "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM "
         "blocks of the following types: [X509 CRL]"},
        {BLOCK("A") BLOCK("B"), cert, path, NULL,
         "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after "
         "skipping PEM blocks of the following types: [A B]"},
        {"", dir, key, NULL, is_a_dir},
        {"", cert, dir, NULL, is_a_dir},
        {"", NULL, NULL, dir, is_a_dir},
    };

    (void) state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/file", dir);
    snprintf(is_a_dir, sizeof is_a_dir, "read %s: is a directory", dir);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_options o = {
            .cert_file = rows[i].cert, .key_file = rows[i].key, .ca_file = rows[i].ca};
        struct tls *t = NULL;
        struct err e = ERR_INIT;

        write_text(path, rows[i].text);
        assert_int_equal(tls_new(&o, &t, &e), ERR_INVALID);
        assert_string_equal(e.msg, rows[i].want);
        assert_null(t);
    }
    unlink(path);
    rmdir(dir);
#undef BLOCK
}

/* What OpenSSL's libraries have in common is no alert of the other side. */
static void words_of_errors(void **state)
{
    char text[200];

    (void) state;
    ERR_raise(ERR_LIB_SSL, ERR_R_PEM_LIB);
    tls__error_text(text, sizeof text);
    assert_string_equal(text, "tls: PEM lib");
    ERR_raise(ERR_LIB_SSL, SSL_AD_REASON_OFFSET + SSL_AD_UNKNOWN_CA);
    tls__error_text(text, sizeof text);
    assert_string_equal(text, "remote error: tls: unknown certificate authority");
    ERR_raise(ERR_LIB_SSL, SSL_AD_REASON_OFFSET + 255);
    tls__error_text(text, sizeof text);
    assert_string_equal(text, "remote error: tls: alert 255");
}

/* A self-signed certificate is made once and kept, its key for its owner only; a validity of no
 * years is refused. */
static void self_signed(void **state)
{
    static const char *const hosts[] = {"127.0.0.1"};
    struct tls_self self = {.dir = rig_tls.dir, .hosts = hosts, .hosts_n = 1, .years = 1};
    char cert[TLS_PATH_BYTES], key[TLS_PATH_BYTES];
    struct err e = ERR_INIT;
    struct stat st;
    bool made = true;

    (void) state;
    assert_int_equal(tls_self_signed(&self, cert, key, &made, &e), 0);
    assert_false(made);
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    self.years = 0;
    assert_int_equal(tls_self_signed(&self, cert, key, &made, &e), ERR_INVALID);
    assert_string_equal(e.msg, "selfSignedCertValidity is invalid,it should be greater than 0");
}

/* ---- handshakes ---- */

/* Both ends verify one another; who shows nothing, or is not who was dialed, gets no further, and
 * both sides say why. */
static void verified_ends(void **state)
{
    struct tls_options so = {.server = true,
                             .cert_file = rig_tls.cert,
                             .key_file = rig_tls.key,
                             .ca_file = rig_tls.cert};
    struct tls_options co = {
        .cert_file = rig_tls.cert, .key_file = rig_tls.key, .ca_file = rig_tls.cert};
    struct tls_options nobody = {.ca_file = rig_tls.cert};
    struct tls_options stranger = {.cert_file = rig_tls.cert, .key_file = rig_tls.key};
    struct tls *t[4] = {make_tls(&so), make_tls(&co), make_tls(&nobody), make_tls(&stranger)};
    const struct {
        struct tls *client;
        const char *host, *text, *error;
    } rows[] = {
        {t[1], NULL, NULL, NULL},
        {t[1], "localhost:1", NULL, NULL},
        {t[1], "elsewhere:1", "certificate is valid for localhost, not elsewhere",
         "bad certificate"},
        {t[1], "10.0.0.1:1", "certificate is valid for 127.0.0.1, not 10.0.0.1", "bad certificate"},
        {t[2], NULL, "certificate required", "tls: client didn't provide a certificate"},
        {t[3], NULL, "x509: certificate signed by unknown authority",
         "unknown certificate authority"},
    };
    struct rig g;
    struct outcome o;

    (void) state;
    open_server(&g, t[0], 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rejected.any = false;
        open_client(&g, rows[i].host, rows[i].client);
        unary(&g, &o, "/t.T/Who", BYTES_LIT("x"));
        assert_int_equal(o.code, rows[i].text == NULL ? 0 : 14);
        if (rows[i].text != NULL)
            assert_non_null(strstr(o.text, rows[i].text));
        outcome_done(&o);
        if (rows[i].error == NULL)
            continue;
        rig_wait(&g, &rejected.any);
        /* An alert may be overtaken by the end of its connection. */
        assert_true(strstr(rejected.error, rows[i].error) != NULL || rejected.hung_up ||
                    strstr(rejected.error, "reset") != NULL);
    }
    assert_string_equal(common_name, ""); /* such a certificate has none */
    rig_done(&g);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        tls_unref(t[i]);
}

/* A certificate that does not fit the address it comes from is refused where that is asked, with
 * the names it has. */
static void san_is_checked(void **state)
{
    char dir[] = "/tmp/tls-test-XXXXXX", cert[TLS_PATH_BYTES], key[TLS_PATH_BYTES];
    struct tls_options so = {.server = true,
                             .cert_file = rig_tls.cert,
                             .key_file = rig_tls.key,
                             .ca_file = cert,
                             .check_san = true};
    struct tls_options co = {.cert_file = cert, .key_file = key, .ca_file = rig_tls.cert};
    static const struct {
        const char *host, *error;
    } rows[] = {
        {"127.0.0.1", NULL},
        {"10.0.0.1", "x509: certificate is valid for 10.0.0.1, not 127.0.0.1"},
        {"localhost", NULL}, /* by look-up */
        {"no-such-name.invalid",
         "tls: \"127.0.0.1\" does not match any of DNSNames [\"no-such-name.invalid\"]"},
    };

    (void) state;
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls *server, *client;
        struct rig g;
        struct outcome o;

        other_pair(dir, rows[i].host, cert, key);
        server = make_tls(&so);
        client = make_tls(&co);
        open_server(&g, server, 0);
        open_client(&g, NULL, client);
        unary(&g, &o, "/t.T/Who", BYTES_LIT("x"));
        assert_int_equal(o.code, rows[i].error == NULL ? 0 : 14);
        if (rows[i].error != NULL)
            assert_string_equal(rejected.error, rows[i].error);
        outcome_done(&o);
        rig_done(&g);
        tls_unref(server);
        tls_unref(client);
        unlink(cert);
        unlink(key);
    }
    rmdir(dir);
}

/* The names and addresses that let a client in may be written as Go takes them, with the dot of a
 * whole name or in brackets; one that begins with a dot is no pattern. */
static void allowed_hostnames(void **state)
{
    char dir[] = "/tmp/tls-test-XXXXXX", cert[TLS_PATH_BYTES], key[TLS_PATH_BYTES];
    static const struct {
        const char *has, *allowed;
        bool works;
    } rows[] = {
        {"localhost", "localhost.", true},   {"localhost", "LOCALHOST", true},
        {"127.0.0.1", "[127.0.0.1]", true},  {"::1", "[::1]", true},
        {"localhost", "[localhost]", false}, {"localhost", "localhost..", false},
        {"a.example", ".example", false},    {"127.0.0.1", "127.0.0.1.", false},
    };

    (void) state;
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_options so = {.server = true,
                                 .cert_file = rig_tls.cert,
                                 .key_file = rig_tls.key,
                                 .ca_file = cert,
                                 .allowed_hostnames = {&rows[i].allowed, 1}};
        struct tls_options co = {.cert_file = cert, .key_file = key, .ca_file = rig_tls.cert};
        struct tls *server, *client;
        struct rig g;
        struct outcome o;

        other_pair(dir, rows[i].has, cert, key);
        server = make_tls(&so);
        client = make_tls(&co);
        open_server(&g, server, 0);
        open_client(&g, NULL, client);
        unary(&g, &o, "/t.T/Who", BYTES_LIT("x"));
        if (o.code != (rows[i].works ? 0 : 14))
            fail_msg("%s for %s: code %d", rows[i].allowed, rows[i].has, o.code);
        outcome_done(&o);
        rig_done(&g);
        tls_unref(server);
        tls_unref(client);
        unlink(cert);
        unlink(key);
    }
    rmdir(dir);
}

/* ---- files that change ---- */

static int reloads_failed;

static void on_reload_failed(void *user, const char *why, bool missing)
{
    (void) user;
    assert_true(strlen(why) > 0);
    assert_true(missing == (strstr(why, "no such file") != NULL));
    reloads_failed++;
}

static void copy(const char *from, const char *to)
{
    char text[16384];
    FILE *f = fopen(from, "r");
    size_t n;

    assert_non_null(f);
    n = fread(text, 1, sizeof text, f);
    fclose(f);
    f = fopen(to, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static void expect(struct rig *g, struct tls *client, bool works)
{
    struct outcome o;

    open_client(g, NULL, client);
    unary(g, &o, "/t.T/Who", BYTES_LIT("x"));
    if (o.code != (works ? 0 : 14))
        fail_msg("code %d: %s", o.code, o.text);
    outcome_done(&o);
}

/* A pair that was replaced counts from the next connection on, for the server and for who trusts
 * it; while only one of its two files has been replaced, or when there is none, the last good pair
 * serves, and that is said once for each change. */
static void changed_files(void **state)
{
    char dir[] = "/tmp/tls-test-XXXXXX", dir2[] = "/tmp/tls-test-XXXXXX", cert[TLS_PATH_BYTES],
         key[TLS_PATH_BYTES], cert2[TLS_PATH_BYTES], key2[TLS_PATH_BYTES], ca[PATH_BYTES];
    struct tls_options so = {
        .server = true, .cert_file = cert, .key_file = key, .on_reload_failed = on_reload_failed};
    struct tls_options co = {.ca_file = ca};
    struct tls *server, *client;
    struct rig g;

    (void) state;
    assert_non_null(mkdtemp(dir));
    assert_non_null(mkdtemp(dir2));
    other_pair(dir, "127.0.0.1", cert, key);
    other_pair(dir2, "127.0.0.1", cert2, key2);
    snprintf(ca, sizeof ca, "%s/ca.pem", dir);
    copy(cert, ca);
    server = make_tls(&so);
    client = make_tls(&co);
    open_server(&g, server, 0);
    reloads_failed = 0;
    expect(&g, client, true);
    copy(cert2, cert); /* the key does not fit yet */
    expect(&g, client, true);
    expect(&g, client, true);
    assert_int_equal(reloads_failed, 1);
    copy(key2, key);
    expect(&g, client, false); /* the client trusts the old one */
    copy(cert2, ca);
    expect(&g, client, true);
    assert_int_equal(reloads_failed, 1);
    unlink(cert);
    expect(&g, client, true);
    assert_int_equal(reloads_failed, 2);
    rig_done(&g);
    tls_unref(server);
    tls_unref(client);
    unlink(ca);
    remove_pair(dir, cert, key);
    remove_pair(dir2, cert2, key2);
}

/* Half a pair is no pair either when the new one's key is of another type. */
static void changed_to_another_type(void **state)
{
    char dir[] = "/tmp/tls-test-XXXXXX", cert[TLS_PATH_BYTES], key[TLS_PATH_BYTES];
    struct tls_options so = {
        .server = true, .cert_file = cert, .key_file = key, .on_reload_failed = on_reload_failed};
    struct tls_options co = {.ca_file = cert};
    struct tls *server, *client;
    struct rig g;

    (void) state;
    assert_non_null(mkdtemp(dir));
    other_pair(dir, "127.0.0.1", cert, key);
    server = make_tls(&so);
    client = make_tls(&co);
    open_server(&g, server, 0);
    reloads_failed = 0;
    expect(&g, client, true);
    write_text(key, ed25519_key);
    expect(&g, client, true);
    assert_int_equal(reloads_failed, 1);
    rig_done(&g);
    tls_unref(server);
    tls_unref(client);
    remove_pair(dir, cert, key);
}

/* ---- hostile ---- */

/* Silence, half a hello, and bytes that are none end after the time for a handshake or at once,
 * with a word each; others are served meanwhile. */
static void endless_handshakes(void **state)
{
    struct rig g;
    int fd[3];

    (void) state;
    open_server(&g, rig_tls.server, 1000);
    fd[0] = dial(&g, "", 0);
    fd[1] = dial(&g, hello, sizeof hello);
    fd[2] = dial(&g, "GET / HTTP/1.1\r\n\r\n", 18);
    rig_wait(&g, &rejected.any);
    assert_string_equal(rejected.error, "tls: first record does not look like a TLS handshake");
    expect(&g, rig_tls.client, true);
    while (rejected.count < 3) {
        rejected.any = false;
        rig_wait(&g, &rejected.any);
        assert_non_null(strstr(rejected.error, ": i/o timeout"));
        assert_false(rejected.hung_up);
    }
    for (int i = 0; i < 3; i++)
        close(fd[i]);
    rig_done(&g);
}

/* More handshakes than may be under way: the others wait, and all are let in when those before them
 * go. */
static void handshakes_wait(void **state)
{
    enum { MANY = NET_HANDSHAKES_MAX + 50 };
    static int fd[MANY];
    struct rlimit files;
    struct rig g;

    (void) state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = MIN(files.rlim_max, (rlim_t) 3 * MANY);
    if (files.rlim_cur < 3 * MANY || setrlimit(RLIMIT_NOFILE, &files) != 0)
        skip(); /* both ends are in this process */
    open_server(&g, rig_tls.server, 0);
    for (int i = 0; i < MANY; i++)
        fd[i] = dial(&g, hello, sizeof hello);
    rig_turn(&g, 300);
    assert_int_equal(rejected.count, 0);
    for (int i = 0; i < MANY; i++)
        close(fd[i]);
    expect(&g, rig_tls.client, true);
    while (rejected.count < MANY) {
        rejected.any = false;
        rig_wait(&g, &rejected.any);
        assert_true(rejected.hung_up || strstr(rejected.error, "reset") != NULL);
    }
    rig_done(&g);
}

/* A port may take connections with TLS and without. */
static void both_on_one_port(void **state)
{
    struct net_listen where = {.host = "127.0.0.1",
                               .serves = NET_SERVES_GRPC | NET_SERVES_HTTP,
                               .tls = rig_tls.server,
                               .or_cleartext = true};
    struct err e = ERR_INIT;
    struct rig g;

    (void) state;
    open_server(&g, rig_tls.server, 0);
    assert_int_equal(net_server_listen(g.server, &where, &g.port, &e), 0);
    net_server_start(g.server);
    expect(&g, rig_tls.client, true);
    expect(&g, NULL, true);
    rig_done(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_options),         cmocka_unit_test(unusable_files),
        cmocka_unit_test(words_of_errors),         cmocka_unit_test(self_signed),
        cmocka_unit_test(verified_ends),           cmocka_unit_test(san_is_checked),
        cmocka_unit_test(allowed_hostnames),       cmocka_unit_test(changed_files),
        cmocka_unit_test(changed_to_another_type), cmocka_unit_test(endless_handshakes),
        cmocka_unit_test(handshakes_wait),         cmocka_unit_test(both_on_one_port),
    };

    return cmocka_run_group_tests(tests, rig_tls_on, rig_tls_off);
}
