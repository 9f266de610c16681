#include "cli/table.h"

#include <ctype.h>

#include "base/blank.h"
#include "cli/text.h"

#define TABLE_COLUMNS_MAX 32

static void put_times(struct buf *out, const char *s, size_t times)
{
    while (times-- > 0)
        buf_add_str(out, s);
}

/* A rule from `left` over `middle` to `right`. */
static void put_rule(struct buf *out, const size_t *width, size_t columns, const char *left,
                     const char *middle, const char *right)
{
    for (size_t i = 0; i < columns; i++) {
        buf_add_str(out, i == 0 ? left : middle);
        put_times(out, "\u2500", width[i] + 2);
    }
    buf_add_str(out, right);
    buf_add_char(out, '\n');
}

static void put_title(struct buf *out, const char *title)
{
    for (; *title != 0; title++)
        buf_add_char(out, *title == '_' ? ' ' : (char) toupper((unsigned char) *title));
}

static void put_header(struct buf *out, const char *const *header, const size_t *width,
                       size_t columns)
{
    for (size_t i = 0; i < columns; i++) {
        size_t gap = width[i] - text_utf8_count(bytes_str(header[i]));

        buf_add_str(out, "\u2502 ");
        put_times(out, " ", gap / 2);
        put_title(out, header[i]);
        put_times(out, " ", gap - gap / 2 + 1);
    }
    buf_add_str(out, "\u2502\n");
}

static void put_row(struct buf *out, const char *const *cells, const size_t *width, size_t columns)
{
    for (size_t i = 0; i < columns; i++) {
        struct bytes cell = bytes_trimmed(bytes_str(cells[i]));

        buf_add_str(out, "\u2502 ");
        put_times(out, " ", width[i] - text_utf8_count(cell));
        buf_add_bytes(out, cell);
        buf_add_char(out, ' ');
    }
    buf_add_str(out, "\u2502\n");
}

void table_print(struct buf *out, const char *const *header, size_t columns,
                 const char *const *cells, size_t rows)
{
    size_t width[TABLE_COLUMNS_MAX];

    ASSERT(columns > 0);
    ASSERT(columns <= TABLE_COLUMNS_MAX);
    for (size_t i = 0; i < columns; i++)
        width[i] = text_utf8_count(bytes_str(header[i]));
    for (size_t i = 0; i < rows * columns; i++)
        width[i % columns] = MAX(width[i % columns],
                                 text_utf8_count(bytes_trimmed(bytes_str(cells[i]))));
    put_rule(out, width, columns, "\u250c", "\u252c", "\u2510");
    put_header(out, header, width, columns);
    if (rows > 0)
        put_rule(out, width, columns, "\u251c", "\u253c", "\u2524");
    for (size_t r = 0; r < rows; r++)
        put_row(out, cells + r * columns, width, columns);
    put_rule(out, width, columns, "\u2514", "\u2534", "\u2518");
}
