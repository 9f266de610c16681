/* plant.h -- mistakes on demand, so that the tests can be tested.
 *
 * A build with KETCH_PLANT=NAME breaks exactly the rule at PLANTED(NAME); in every other build
 * PLANTED is the constant false.  docs/reliability.md lists the names and what finds each.
 */
#ifndef KETCH_ENGINE_RAFT_PLANT_H
#define KETCH_ENGINE_RAFT_PLANT_H

#define PLANT_SECOND(first, second, ...) second
#define PLANT_SELECT(maybe_pair) PLANT_SECOND(maybe_pair true, false, unused)
#define PLANT_PAIR_ unused,  /* KETCH_PLANT_X defined without a value */
#define PLANT_PAIR_1 unused, /* ... or as 1 */
#define PLANT_PASTE(value) PLANT_SELECT(PLANT_PAIR_##value)
#define PLANT_EXPAND(value) PLANT_PASTE(value)

/* True in a build that plants this mistake. */
#define PLANTED(name) PLANT_EXPAND(KETCH_PLANT_##name)

#endif
