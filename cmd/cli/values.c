/* values.c -- what a command reads of its line. */
#include "cli/command_int.h"

const struct cli_value *cli_value(const struct cli_call *c, const char *flag)
{
    size_t at = cli__find(c, bytes_str(flag));

    ASSERT(at < c->value_count);
    return &c->values[at];
}

struct bytes cli_arg(const struct cli_call *c, size_t i)
{
    const char *text = c->args[i];

    ASSERT(i < c->arg_count);
    for (size_t k = 0; c->words != NULL && k < c->words->count; k++)
        if (c->words->text[k] == text)
            return bytes_of(text, c->words->len[k]);
    return bytes_str(text);
}

bool cli_has(const struct cli_call *c, const char *flag)
{
    return cli__find(c, bytes_str(flag)) < c->value_count;
}

bool cli_changed(const struct cli_call *c, const char *flag)
{
    return cli_value(c, flag)->changed;
}

bool cli_bool(const struct cli_call *c, const char *flag)
{
    const struct cli_value *v = cli_value(c, flag);

    ASSERT(v->flag->type == CLI_BOOL);
    return v->b;
}

const char *cli_string(const struct cli_call *c, const char *flag)
{
    const struct cli_value *v = cli_value(c, flag);

    ASSERT(v->flag->type == CLI_STRING);
    return v->s;
}

int64_t cli_int(const struct cli_call *c, const char *flag)
{
    const struct cli_value *v = cli_value(c, flag);

    ASSERT(v->flag->type == CLI_INT || v->flag->type == CLI_DURATION);
    return v->i;
}

uint64_t cli_uint(const struct cli_call *c, const char *flag)
{
    const struct cli_value *v = cli_value(c, flag);

    ASSERT(v->flag->type == CLI_UINT);
    return v->u;
}

double cli_float(const struct cli_call *c, const char *flag)
{
    const struct cli_value *v = cli_value(c, flag);

    ASSERT(v->flag->type == CLI_FLOAT);
    return v->f;
}
