/* What a host may set while a model trains: learning rates, weights of tasks, the momentum of batch
 * norms, and which tensors train. The configuration keeps what the model was made with; a
 * checkpoint with the optimizer's state keeps these too. */
#include "training.h"

#include "../host/number.h"

#include <string.h>

static home_status set_number(double *target, double value, double max, const char *name,
                              home_status otherwise, home_error *error) {
    if (!(value >= 0 && value <= max))
        return homefail(error, otherwise, "%s is %s, expected a number from 0 to %s", name,
                        HOME_BRIEF(value), HOME_BRIEF(max));
    *target = value;
    return HOME_OK;
}

home_status home_model_set_learning_rate(home_model *model, double rate, home_error *error) {
    const home_status status = hometraining_check(model, error);
    return status == HOME_OK ? set_number(&model->training->learning_rate, rate, HOME_MAX_RATE,
                                          "rate", HOME_E_ARGUMENT, error)
                             : status;
}

home_status home_model_set_embedding_learning_rate(home_model *model, double rate,
                                                   home_error *error) {
    const home_status status = hometraining_check(model, error);
    return status == HOME_OK ? set_number(&model->training->embedding_learning_rate, rate,
                                          HOME_MAX_RATE, "rate", HOME_E_ARGUMENT, error)
                             : status;
}

home_status home_model_set_task_weight(home_model *model, size_t task, double weight,
                                       home_error *error) {
    const home_status status = hometraining_check(model, error);
    if (status != HOME_OK)
        return status;
    if (task >= model->settings.config.task_count)
        return homefail(error, HOME_E_NOT_FOUND, "task is %zu, expected less than %zu", task,
                        model->settings.config.task_count);
    return set_number(&model->training->task_weights[task], weight, HOME_MAX_WEIGHT, "weight",
                      HOME_E_ARGUMENT, error);
}

home_status home_model_set_norm_momentum(home_model *model, double momentum, home_error *error) {
    const home_status status = hometraining_check(model, error);
    return status == HOME_OK ? set_number(&model->training->run.norm_momentum, momentum, 1,
                                          "momentum", HOME_E_ARGUMENT, error)
                             : status;
}

double home_model_learning_rate(const home_model *model) {
    return model && model->training ? model->training->learning_rate : 0;
}

double home_model_embedding_learning_rate(const home_model *model) {
    return model && model->training ? model->training->embedding_learning_rate : 0;
}

double home_model_task_weight(const home_model *model, size_t task) {
    return model && model->training && task < model->settings.config.task_count
               ? model->training->task_weights[task]
               : 0;
}

double home_model_norm_momentum(const home_model *model) {
    return model && model->training ? model->training->run.norm_momentum : 0;
}

/* --------------------------------------------------------------------------------- what trains */

/* The character of UTF-8 that follows; at the end, the end. */
static const char *after_character(const char *text) {
    if (*text)
        text++;
    while (((unsigned char)*text & 0xc0) == 0x80)
        text++;
    return text;
}

/* Whether a name is as the pattern says: * for any characters, ? for one. What a * took grows by a
 * byte whenever the rest does not fit; only the last * need be tried again, for what stands
 * between two of them may as well match as early as it can. */
static bool matches(const char *pattern, const char *name) {
    const char *star = NULL; /* the pattern behind the last *, and where the name went on */
    const char *resume = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = name;
        } else if (*pattern == '?') {
            pattern++;
            name = after_character(name);
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

home_status home_model_set_trained(home_model *model, const char *pattern, int32_t trained,
                                   home_error *error) {
    const home_status status = hometraining_check(model, error);
    if (status != HOME_OK)
        return status;
    if (!pattern)
        return homefail_null(error, "pattern");
    if (trained != HOME_ON && trained != HOME_OFF)
        return homefail(error, HOME_E_ARGUMENT, "trained is %ld, expected HOME_ON or HOME_OFF",
                        (long)trained);
    const hometensor *only = hometensors_find(&model->tensors, pattern);
    bool found = false;
    for (size_t i = 0; i < model->tensors.count; i++) {
        const hometensor *tensor = &model->tensors.items[i];
        if (tensor->kind == HOME_TENSOR_STATISTIC ||
            !(only ? tensor == only : matches(pattern, tensor->name)))
            continue;
        model->training->trained[i] = trained == HOME_ON;
        found = true;
    }
    return found ? HOME_OK
                 : homefail(error, HOME_E_NOT_FOUND, "no parameter and no table matches \"%.150s\"",
                            pattern);
}

/* ---------------------------------------------------------------------------------- checkpoints */

/* {"task_weights":[1,0.5],"norm_momentum":0.05,"untrained":["towers.like.linear.0.weight"]}: only
 * the members that the configuration does not say. */
typedef struct members {
    hometext *text;
    bool any;
} members;

static void begin_member(members *to, const char *key) {
    hometext_add(to->text, to->any ? "," : "{");
    hometext_add_string(to->text, key);
    hometext_add(to->text, ":");
    to->any = true;
}

static void write_weights(const home_model *model, members *to) {
    const home_config *config = &model->settings.config;
    const double *weights = model->training->task_weights;
    bool set = false;
    for (size_t t = 0; t < config->task_count; t++)
        set = set || weights[t] < config->tasks[t].weight || weights[t] > config->tasks[t].weight;
    if (!set)
        return;
    begin_member(to, "task_weights");
    for (size_t t = 0; t < config->task_count; t++) {
        hometext_add(to->text, t ? "," : "[");
        hometext_add_number(to->text, weights[t]);
    }
    hometext_add(to->text, "]");
}

static void write_momentum(const home_model *model, members *to) {
    const double momentum = model->training->run.norm_momentum;
    const double configured = model->settings.config.norm_momentum;
    if (!(momentum < configured || momentum > configured))
        return;
    begin_member(to, "norm_momentum");
    hometext_add_number(to->text, momentum);
}

static void write_untrained(const home_model *model, members *to) {
    bool any = false;
    for (size_t i = 0; i < model->tensors.count; i++) {
        const hometensor *tensor = &model->tensors.items[i];
        if (tensor->kind == HOME_TENSOR_STATISTIC || model->training->trained[i])
            continue;
        if (!any)
            begin_member(to, "untrained");
        hometext_add(to->text, any ? "," : "[");
        hometext_add_string(to->text, tensor->name);
        any = true;
    }
    if (any)
        hometext_add(to->text, "]");
}

void hometuning_write(const home_model *model, hometext *text) {
    members to = {.text = text};
    write_weights(model, &to);
    write_momentum(model, &to);
    write_untrained(model, &to);
    if (to.any)
        hometext_add(text, "}");
}

/* HOME_E_VALUE for a number out of range, as for the values of tensors. */
static home_status read_number(const homejson_value *value, double max, const char *name,
                               double *target, home_error *error) {
    if (value->type != HOME_JSON_NUMBER)
        return homefail(error, HOME_E_FORMAT, "%s: expected a number", name);
    return set_number(target, homejson_number(value), max, name, HOME_E_VALUE, error);
}

static home_status read_weights(home_model *model, const homejson_value *member,
                                home_error *error) {
    const size_t count = model->settings.config.task_count;
    if (member->type != HOME_JSON_ARRAY)
        return homefail(error, HOME_E_FORMAT, "task_weights: expected an array");
    if (member->count != count)
        return homefail(error, HOME_E_FORMAT, "task_weights: %zu numbers, expected %zu",
                        (size_t)member->count, count);
    home_status status = HOME_OK;
    double *weight = model->training->task_weights;
    for (const homejson_value *v = member->first; v && status == HOME_OK; v = v->next)
        status = read_number(v, HOME_MAX_WEIGHT, "task_weights", weight++, error);
    return status;
}

static home_status read_untrained(home_model *model, const homejson_value *member,
                                  home_error *error) {
    if (member->type != HOME_JSON_ARRAY)
        return homefail(error, HOME_E_FORMAT, "untrained: expected an array");
    for (const homejson_value *v = member->first; v; v = v->next) {
        if (v->type != HOME_JSON_STRING)
            return homefail(error, HOME_E_FORMAT, "untrained: expected names");
        const hometensor *tensor = hometensors_find(&model->tensors, v->text);
        if (!tensor || tensor->kind == HOME_TENSOR_STATISTIC)
            return homefail(error, HOME_E_MISMATCH,
                            "untrained: the model has no parameter or table \"%.120s\"", v->text);
        model->training->trained[tensor - model->tensors.items] = false;
    }
    return HOME_OK;
}

static home_status read_member(home_model *model, const homejson_value *member, home_error *error) {
    if (strcmp(member->key, "task_weights") == 0)
        return read_weights(model, member, error);
    if (strcmp(member->key, "norm_momentum") == 0)
        return read_number(member, 1, "norm_momentum", &model->training->run.norm_momentum, error);
    if (strcmp(member->key, "untrained") == 0)
        return read_untrained(model, member, error);
    return homefail(error, HOME_E_UNSUPPORTED, "\"%.60s\" is not known to this version",
                    member->key);
}

home_status hometuning_read(home_model *model, const char *json, home_error *error) {
    homejson *document = NULL;
    /* Each weight and name, the members and what they stand in, and some of a later version. */
    const size_t max_values = model->settings.config.task_count + model->tensors.count + 64;
    home_status status =
        homejson_parse_sparse(&model->allocator, json, strlen(json), max_values, &document, error);
    if (status != HOME_OK)
        return status;
    const homejson_value *root = homejson_root(document);
    if (root->type != HOME_JSON_OBJECT)
        status = homefail(error, HOME_E_FORMAT, "expected an object");
    else
        for (const homejson_value *m = root->first; m && status == HOME_OK; m = m->next)
            status = read_member(model, m, error);
    homejson_free(document);
    return status;
}
