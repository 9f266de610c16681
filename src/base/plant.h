/* plant.h -- mistakes on demand, so that the tests can be tested.
 *
 * A build with KETCH_PLANT=NAME breaks exactly the rule at PLANTED(NAME); one with KETCH_PLANT=ANY
 * breaks the rule whose name the simulators are given (--plant NAME).  In every other build PLANTED
 * is the constant false.  docs/reliability.md lists the names and what finds each.
 */
#ifndef KETCH_BASE_PLANT_H
#define KETCH_BASE_PLANT_H

#include "base/base.h"

#ifdef KETCH_PLANT_ANY

extern const char *plant_chosen; /* NULL: none.  Set before anything else runs */

#define PLANTED(name) (plant_chosen != NULL && strcmp(plant_chosen, #name) == 0)

#else

#define PLANT_SECOND(first, second, ...) second
#define PLANT_SELECT(maybe_pair) PLANT_SECOND(maybe_pair true, false, unused)
#define PLANT_PAIR_ unused,  /* KETCH_PLANT_X defined without a value */
#define PLANT_PAIR_1 unused, /* ... or as 1 */
#define PLANT_PASTE(value) PLANT_SELECT(PLANT_PAIR_##value)
#define PLANT_EXPAND(value) PLANT_PASTE(value)

/* True in a build that plants this mistake. */
#define PLANTED(name) PLANT_EXPAND(KETCH_PLANT_##name)

#endif

#endif
