#include "cli/words.h"

#include "base/blank.h"
#include "cli/text.h"

static int add_word(struct words *w, struct bytes s, struct err *e)
{
    char *text;

    if (w->count == WORDS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d words in a line", WORDS_MAX);
    text = arena_alloc(&w->arena, s.n + 1);
    if (text == NULL)
        return err_set(e, ERR_LIMIT, "line too long");
    if (s.n > 0)
        memcpy(text, s.p, s.n);
    text[s.n] = 0;
    w->text[w->count] = text;
    w->len[w->count++] = s.n;
    return 0;
}

static int add_quoted(struct words *w, struct bytes s, struct err *e)
{
    struct buf value;
    size_t len;
    int rc;

    buf_init(&value, WORDS_BYTES_MAX);
    rc = text_unquote(s, &value, &len, e);
    if (rc == 0)
        rc = add_word(w, buf_bytes(&value), e);
    buf_done(&value);
    return rc;
}

/* Length of the quoted string at the front, quotes included; 0 when it is not closed. */
static size_t quoted_len(struct bytes s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == s.p[0])
            return i + 1;
        if (s.p[0] == '"' && s.p[i] == '\\')
            i++;
    }
    return 0;
}

static size_t bare_len(struct bytes s)
{
    size_t n = 0;

    while (n < s.n && !byte_is_blank(s.p[n]))
        n++;
    return n;
}

int words_split(struct words *w, struct bytes line, struct err *e)
{
    int rc = 0;

    *w = (struct words){0};
    arena_init(&w->arena, WORDS_BYTES_MAX);
    w->text = arena_calloc(&w->arena, WORDS_MAX + 1, sizeof(*w->text));
    w->len = arena_calloc(&w->arena, WORDS_MAX, sizeof(*w->len));
    if (w->text == NULL || w->len == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    while (line.n > 0 && rc == 0) {
        uint8_t c = line.p[0];
        size_t n = 1;

        if (c == '"' || c == '\'') {
            size_t quoted = quoted_len(line);

            if (quoted > 0 && c == '"')
                rc = add_quoted(w, bytes_of(line.p, quoted), e);
            else if (quoted > 0)
                rc = add_word(w, bytes_of(line.p + 1, quoted - 2), e);
            n = MAX(quoted, 1);
        } else if (!byte_is_blank(c)) {
            n = bare_len(line);
            rc = add_word(w, bytes_of(line.p, n), e);
        }
        line = bytes_of(line.p + n, line.n - n);
    }
    return rc;
}

void words_done(struct words *w)
{
    arena_done(&w->arena);
}
