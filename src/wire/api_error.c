#include "wire/api_error.h"

static const struct {
    enum grpc_code code;
    const char *text;
} table[] = {[API_OK] = {GRPC_OK, ""},
#define X(name, code, text) [API_##name] = {(enum grpc_code)(code), text},
             API_ERROR_MAP(X)
#undef X
};

_Static_assert(ARRAY_LEN(table) == API_ERROR_END, "every error has its row");

enum grpc_code api_error_code(enum api_error e)
{
    ASSERT((size_t) e < ARRAY_LEN(table));
    return table[e].code;
}

const char *api_error_text(enum api_error e)
{
    ASSERT((size_t) e < ARRAY_LEN(table));
    return table[e].text;
}

enum api_error api_error_find(struct bytes text)
{
    for (size_t i = 1; i < ARRAY_LEN(table); i++) {
        if (bytes_eq(text, bytes_str(table[i].text)))
            return (enum api_error) i;
    }
    return API_OK;
}

const char *grpc_code_name(unsigned code)
{
    static const char *const names[] = {
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    };

    return code < ARRAY_LEN(names) ? names[code] : NULL;
}
