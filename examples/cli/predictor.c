#include "predictor.h"

#include "heap.h"
#include "interrupt.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool freeze(predictor *made, const home_model *model, uint64_t threads, failure *why) {
    home_error error = {.struct_size = sizeof error};
    if (home_model_freeze(model, &made->frozen, &error) != HOME_OK)
        return fail_library(why, "freezing the model", &error);
    if (threads > 1 && home_model_set_threads(made->frozen, (size_t)threads, &error) != HOME_OK)
        return fail_library(why, "--threads", &error);
    const size_t size = home_workspace_size(made->frozen);
    made->memory = heap_new(size, 1);
    if (!made->memory)
        return fail_memory(why);
    if (home_workspace_init(made->frozen, made->memory, size, &made->workspace, &error) != HOME_OK)
        return fail_library(why, "making a workspace", &error);
    return true;
}

bool predictor_start(predictor *made, const home_model *model, const recipe *by, failure *why) {
    memset(made, 0, sizeof *made);
    made->predictions = heap_new(PREDICTOR_ROWS * by->label_count, sizeof *made->predictions);
    if ((made->predictions || fail_memory(why)) && freeze(made, model, by->training.threads, why) &&
        batch_start(&made->rows, by, PREDICTOR_ROWS, why))
        return true;
    predictor_free(made);
    return false;
}

void predictor_free(predictor *made) {
    home_model_release(made->frozen);
    heap_free(made->memory);
    heap_free(made->predictions);
    batch_free(&made->rows);
    memset(made, 0, sizeof *made);
}

/* A probability that is no number is never handed on: the weights or the inputs are to blame. */
static bool check_predictions(const predictor *with, const dataset *data, size_t first,
                              size_t count, failure *why) {
    const size_t tasks = data->by->label_count;
    for (size_t i = 0; i < count * tasks; i++) {
        if (!isfinite(with->predictions[i]))
            return fail(why,
                        "row %" PRIu64 ", task \"%.80s\": the prediction is %s; expected a "
                        "probability (is an input out of range, or did training diverge?)",
                        data->rows_before + first + i / tasks + 1, data->by->labels[i % tasks].task,
                        isnan(with->predictions[i]) ? "not a number" : "infinite");
    }
    return true;
}

bool predictor_run(predictor *with, const dataset *data, size_t first, size_t count, failure *why) {
    home_error error = {.struct_size = sizeof error};
    if (interrupted())
        return fail(why, "interrupted");
    if (!batch_fill(&with->rows, data, NULL, first, count, NULL, why))
        return false;
    if (home_model_predict(with->frozen, &with->rows.inputs, with->predictions, 0, with->workspace,
                           &error) != HOME_OK)
        return fail_library(why, "predicting", &error);
    return check_predictions(with, data, first, count, why);
}
