/* h1_parser.h -- llhttp, or its ancestor http-parser, under one set of names.
 *
 * Both call back with (parser, pointer, length) or (parser).  h1_parse returns how many bytes it
 * took; it stops early at an error, or where a callback called h1_pause.
 */
#ifndef KETCH_ENGINE_NET_H1_PARSER_H
#define KETCH_ENGINE_NET_H1_PARSER_H

#include "base/base.h"

#ifdef KETCH_HAVE_LLHTTP
#include <llhttp.h>

typedef llhttp_t h1_parser;
typedef llhttp_settings_t h1_callbacks;

#define H1_PAUSED_RC HPE_PAUSED

static inline void h1_parser_init(h1_parser *p, bool request, const h1_callbacks *cb)
{
    llhttp_init(p, request ? HTTP_REQUEST : HTTP_RESPONSE, cb);
}

static inline size_t h1_parse(h1_parser *p, const h1_callbacks *cb, const uint8_t *in, size_t n)
{
    llhttp_errno_t rc = llhttp_execute(p, (const char *) in, n);

    (void) cb;
    return rc == HPE_OK ? n : (size_t) (llhttp_get_error_pos(p) - (const char *) in);
}

/* The other side has closed: the end of a body that has no length. */
static inline void h1_finish(h1_parser *p, const h1_callbacks *cb)
{
    (void) cb;
    (void) llhttp_finish(p);
}

static inline void h1_pause(h1_parser *p)
{
    (void) p; /* the callback returns H1_PAUSED_RC */
}

static inline void h1_unpause(h1_parser *p)
{
    llhttp_resume(p);
}

static inline bool h1_paused(h1_parser *p)
{
    return llhttp_get_errno(p) == HPE_PAUSED;
}

static inline bool h1_failed(h1_parser *p)
{
    llhttp_errno_t rc = llhttp_get_errno(p);

    return rc != HPE_OK && rc != HPE_PAUSED;
}

static inline bool h1_keep_alive(h1_parser *p)
{
    return llhttp_should_keep_alive(p) != 0;
}

/* The head asks for another protocol, and no body follows it. */
static inline bool h1_upgrades(h1_parser *p)
{
    return p->upgrade != 0 && p->content_length == 0 && (p->flags & F_CHUNKED) == 0;
}

/* By a limit of the parser's own. */
static inline bool h1_head_too_large(h1_parser *p)
{
    (void) p;
    return false;
}

#else
#include <http_parser.h>

typedef http_parser h1_parser;
typedef http_parser_settings h1_callbacks;

#define H1_PAUSED_RC 0

static inline void h1_parser_init(h1_parser *p, bool request, const h1_callbacks *cb)
{
    (void) cb;
    http_parser_init(p, request ? HTTP_REQUEST : HTTP_RESPONSE);
}

static inline size_t h1_parse(h1_parser *p, const h1_callbacks *cb, const uint8_t *in, size_t n)
{
    return http_parser_execute(p, cb, (const char *) in, n);
}

static inline void h1_finish(h1_parser *p, const h1_callbacks *cb)
{
    http_parser_execute(p, cb, NULL, 0);
}

static inline void h1_pause(h1_parser *p)
{
    http_parser_pause(p, 1);
}

static inline void h1_unpause(h1_parser *p)
{
    http_parser_pause(p, 0);
}

static inline bool h1_paused(h1_parser *p)
{
    return HTTP_PARSER_ERRNO(p) == HPE_PAUSED;
}

static inline bool h1_failed(h1_parser *p)
{
    return HTTP_PARSER_ERRNO(p) != HPE_OK && HTTP_PARSER_ERRNO(p) != HPE_PAUSED;
}

static inline bool h1_keep_alive(h1_parser *p)
{
    return http_should_keep_alive(p) != 0;
}

static inline bool h1_upgrades(h1_parser *p)
{
    return p->upgrade != 0 && (p->content_length == 0 || p->content_length == ULLONG_MAX) &&
           (p->flags & F_CHUNKED) == 0;
}

static inline bool h1_head_too_large(h1_parser *p)
{
    return HTTP_PARSER_ERRNO(p) == HPE_HEADER_OVERFLOW;
}
#endif

#endif
