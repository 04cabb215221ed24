/* The configuration as the library keeps it: copied, checked, every default filled in.
 *
 * Here: which fields there are (fields.c), structs and JSON of a host to checked settings
 * (config.c, config_json.c) and back to JSON, errors on the way (reader.c). Called by: plan, and
 * all above. Calls: kernels (for the names of instruction sets), host, base. */
#ifndef HOME_CONFIG_H
#define HOME_CONFIG_H

#include "home/home.h"

#include "../host/json.h"
#include "../host/memory.h"

#define HOME_MAX_RATE   1e6  /* of learning */
#define HOME_MAX_WEIGHT 1e30 /* of a task */

#define HOME_OPTIMIZER_LAST HOME_OPTIMIZER_ADAGRAD /* of all kinds, those of tables included */

/* Bounds that no sensible model meets. They keep small what a small hostile file can ask for. */
#define HOME_MAX_ITEMS  4096u /* tables, fields, units or nodes of a layer */
#define HOME_MAX_TASKS  1024u
#define HOME_MAX_LAYERS 64u
#define HOME_MAX_WIDTH  (1u << 24) /* no product of two overflows 64 bits */

/* What sets one preset apart from another, for checks and defaults; topology.c lays out its units
 * and nodes. */
typedef struct homepreset {
    const char *name;
    size_t min_layers;
    size_t max_layers;
    bool cures;      /* batch norm + Swish experts and feature gates are on unless switched off */
    bool self_terms; /* the self term is on unless switched off */
    bool shared;     /* has the unit `shared` */
    bool groups;     /* has units for groups */
    size_t first_task_layer; /* the first layer with units for tasks; HOME_NONE: none has */
} homepreset;

extern const homepreset homepresets[];

/* A configuration whose pointers all lead into an arena, with what follows from it. */
typedef struct homesettings {
    home_config config; /* no field is 0 that has a default */
    home_optimizer_config optimizer;
    const homepreset *preset;
    const char *isa;    /* not in `config`: it is about a machine, not about the model; NULL: any */
    size_t input_width; /* V = dense values + widths of the fields */
    const char **groups; /* [group_count], in order of first appearance */
    size_t group_count;
    size_t *task_group;   /* [task_count] index into groups */
    size_t *task_given;   /* [task_count] the task whose probability is a factor of this one's, or
                             HOME_NONE */
    size_t *field_table;  /* [field_count] index into tables */
    size_t *field_column; /* [field_count] first column of the field in v */
} homesettings;

/* A size that JSON writes as 0 where a struct's 0 stands for a default that depends on other
 * fields; no size is so large. */
#define HOME_WRITTEN_ZERO SIZE_MAX

struct homereader;

/* Copies and checks what the caller gave; config.c. Errors go to the reader, whose status is
 * returned: HOME_E_CONFIG names the field, its value and what was expected. The settings can only
 * be used where there was none. */
home_status homeconfig_resolve(struct homereader *in, const home_config *given,
                               homesettings *settings);

/* JSON text -> config struct in the arena, with all values within their bounds; config_json.c. A 0
 * that is written is HOME_ZERO. A text that is stored in a checkpoint was written by the library:
 * what is not known here is a later version's, so it gives HOME_E_UNSUPPORTED instead of
 * HOME_E_CONFIG. */
home_status homeconfig_from_json(struct homereader *in, const char *json, size_t length,
                                 bool stored, home_config *config);

/* The configuration as JSON: complete, or what is not as it would be anyway. */
void homeconfig_to_json(const homesettings *settings, bool complete, hometext *text);

#endif
