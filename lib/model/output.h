/* From logits to predictions. */
#ifndef HOME_OUTPUT_H
#define HOME_OUTPUT_H

#include "model.h"

/* predictions and logits, [rows, tasks], of a run that has gone through the plan. */
void homeoutput_write(const home_model *model, const homerun *run, float *predictions,
                      size_t stride);
void homeoutput_write_logits(const home_model *model, const homerun *run, float *logits,
                             size_t stride);

#endif
