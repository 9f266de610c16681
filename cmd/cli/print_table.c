/* print_table.c -- -w table, for the answers that are lists. */
#include "base/alloc.h"
#include "cli/print.h"
#include "cli/table.h"

static const char *const member_header[PRINT_MEMBER_COLUMNS] = {
    "ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"};
static const char *const health_header[PRINT_HEALTH_COLUMNS] = {"endpoint", "health", "took",
                                                                "error"};
static const char *const hash_kv_header[PRINT_HASH_KV_COLUMNS] = {"endpoint", "hash",
                                                                  "hash_revision"};
static const char *const status_header[PRINT_STATUS_COLUMNS] = {"endpoint",
                                                                "ID",
                                                                "version",
                                                                "storage version",
                                                                "db size",
                                                                "in use",
                                                                "percentage not in use",
                                                                "quota",
                                                                "is leader",
                                                                "is learner",
                                                                "raft term",
                                                                "raft index",
                                                                "raft applied index",
                                                                "errors",
                                                                "downgrade target version",
                                                                "downgrade enabled"};

/* Draws `rows` rows whose cells stand in `cells`, each ended by a NUL; frees them. */
static void draw(const struct print_what *w, const char *const *header, size_t columns,
                 struct buf *cells, size_t rows)
{
    const char **at = xmem_calloc(rows * columns + 1, sizeof(*at));
    const char *cell = buf_cstr(cells);

    for (size_t i = 0; i < rows * columns; i++) {
        at[i] = cell;
        cell += strlen(cell) + 1;
    }
    ASSERT(cell == buf_cstr(cells) + cells->len);
    table_print(w->out, header, columns, at, rows);
    mem_free(at);
    buf_done(cells);
}

static void table_member_list(const struct print_what *w, const Etcdserverpb__MemberListResponse *r)
{
    struct buf cells;

    buf_init(&cells, w->out->bytes_max);
    for (size_t i = 0; i < r->n_members; i++)
        print_member_cells(&cells, r->members[i]);
    draw(w, member_header, PRINT_MEMBER_COLUMNS, &cells, r->n_members);
}

static void table_health(const struct print_what *w, const struct print_health *list, size_t n)
{
    struct buf cells;

    buf_init(&cells, w->out->bytes_max);
    for (size_t i = 0; i < n; i++)
        print_health_cells(&cells, &list[i]);
    draw(w, health_header, PRINT_HEALTH_COLUMNS, &cells, n);
}

static void table_status(const struct print_what *w, const struct print_status *list, size_t n)
{
    struct buf cells;

    buf_init(&cells, w->out->bytes_max);
    for (size_t i = 0; i < n; i++)
        print_status_cells(&cells, &list[i]);
    draw(w, status_header, PRINT_STATUS_COLUMNS, &cells, n);
}

static void table_hash_kv(const struct print_what *w, const struct print_hash_kv *list, size_t n)
{
    struct buf cells;

    buf_init(&cells, w->out->bytes_max);
    for (size_t i = 0; i < n; i++)
        print_hash_kv_cells(&cells, &list[i]);
    draw(w, hash_kv_header, PRINT_HASH_KV_COLUMNS, &cells, n);
}

const struct printer printer_table = {
    .name = "table",
    .member_list = table_member_list,
    .health = table_health,
    .status = table_status,
    .hash_kv = table_hash_kv,
};
