/* cm.h -- cmocka with the headers it wants before it. */
#ifndef KETCH_TESTS_LIB_CM_H
#define KETCH_TESTS_LIB_CM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
