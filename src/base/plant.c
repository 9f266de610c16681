#include "base/plant.h"

#ifdef KETCH_PLANT_ANY
const char *plant_chosen;
#endif
