#include "lib/cm.h"

#include "etcd-dump-logs/goflag.h"

#define WORDS_MAX 16

enum { END, NAME, RAW, FLAGS };

struct parsed {
    struct goflag v[FLAGS];
    size_t rest;
    int status;
    struct buf errs;
};

/* The line's words are parted by blanks; "_" stands for an empty one. */
static void parse(struct parsed *p, char *line)
{
    const char *argv[WORDS_MAX];
    size_t n = 0;

    *p = (struct parsed){
        .v = {
            [END] = {.name = "end", .type = GOFLAG_UINT, .u = 9, .help = "last\none"},
            [NAME] = {.name = "name", .type = GOFLAG_STRING, .s = "x y", .help = "n"},
            [RAW] = {.name = "raw", .type = GOFLAG_BOOL, .help = "as it is"},
        }};
    buf_init(&p->errs, 65536);
    while (*line != 0) {
        size_t len = strcspn(line, " ");

        argv[n++] = line[0] == '_' ? "" : line;
        line += len;
        if (*line == ' ')
            *line++ = 0;
    }
    p->status = goflag_parse("tool", p->v, FLAGS, n, argv, &p->rest, &p->errs);
}

#define PARSE(p, text)             \
    do {                           \
        static char line[] = text; \
        parse(p, line);            \
    } while (0)

static void parsed_done(struct parsed *p)
{
    buf_done(&p->errs);
}

/* One dash or two, a value behind '=' or as the next word; a word that is no flag, a single dash or
 * "--" ends them. */
static void reads_values(void **state)
{
    struct parsed p;

    (void) state;
    PARSE(&p, "-end 0x10 --name=a=b -raw d -raw=false");
    assert_int_equal(p.status, -1);
    assert_int_equal(p.v[END].u, 16);
    assert_string_equal(p.v[NAME].s, "a=b");
    assert_true(p.v[RAW].b);
    assert_int_equal(p.rest, 4);
    parsed_done(&p);
    PARSE(&p, "-raw=T -name _ -- -end");
    assert_int_equal(p.status, -1);
    assert_true(p.v[RAW].b);
    assert_true(p.v[NAME].given);
    assert_false(p.v[END].given);
    assert_string_equal(p.v[NAME].s, "");
    assert_int_equal(p.v[END].u, 9);
    assert_int_equal(p.rest, 4);
    parsed_done(&p);
    PARSE(&p, "-");
    assert_int_equal(p.status, -1);
    assert_int_equal(p.rest, 0);
    parsed_done(&p);
    PARSE(&p, "");
    assert_int_equal(p.status, -1);
    assert_int_equal(p.rest, 0);
    parsed_done(&p);
}

static const char usage[] = "Usage of tool:\n"
                            "  -end uint\n    \tlast\n    \tone (default 9)\n"
                            "  -name string\n    \tn (default \"x y\")\n"
                            "  -raw\n    \tas it is\n";

static void expect_wrong(char *line, int status, const char *words)
{
    struct parsed p;
    char want[1024];

    parse(&p, line);
    snprintf(want, sizeof want, "%s%s", words, usage);
    assert_int_equal(p.status, status);
    assert_string_equal(buf_cstr(&p.errs), want);
    assert_int_equal(p.v[END].u, 9); /* nothing of such a line is taken */
    parsed_done(&p);
}

#define WRONG(text, status, words)         \
    do {                                   \
        static char line[] = text;         \
        expect_wrong(line, status, words); \
    } while (0)

/* What cannot be understood is said in Go's words, then the usage, with the defaults; -h is no
 * mistake. */
static void explains_mistakes(void **state)
{
    (void) state;
    WRONG("-h", 0, "");
    WRONG("-end 3 --help", 0, "");
    WRONG("-bogus", 2, "flag provided but not defined: -bogus\n");
    WRONG("--bogus=1", 2, "flag provided but not defined: -bogus\n");
    WRONG("---end", 2, "bad flag syntax: ---end\n");
    WRONG("-=1", 2, "bad flag syntax: -=1\n");
    WRONG("-end", 2, "flag needs an argument: -end\n");
    WRONG("-end x", 2, "invalid value \"x\" for flag -end: parse error\n");
    WRONG("-end -1", 2, "invalid value \"-1\" for flag -end: parse error\n");
    WRONG("-end 99999999999999999999", 2,
          "invalid value \"99999999999999999999\" for flag -end: value out of range\n");
    WRONG("-end 5 -raw=yes", 2, "invalid boolean value \"yes\" for -raw: parse error\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_values),
        cmocka_unit_test(explains_mistakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
