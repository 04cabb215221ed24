/* The configuration as the library keeps it: copied, checked, every default filled in. */
#ifndef HOME_CONFIG_H
#define HOME_CONFIG_H

#include "home/home.h"

#include "json.h"
#include "memory.h"

/* A configuration whose pointers all lead into an arena, with what follows from it. */
typedef struct home_settings {
    home_config config; /* no field is 0 that has a default */
    home_optimizer_config optimizer;
    size_t input_width;  /* V = dense values + widths of the fields */
    const char **groups; /* [group_count], in order of first appearance */
    size_t group_count;
    size_t *task_group;   /* [task_count] index into groups */
    size_t *field_table;  /* [field_count] index into tables */
    size_t *field_column; /* [field_count] first column of the field in v */
} home_settings;

/* Copies and checks what the caller gave. HOME_E_CONFIG names the field, its value and what was expected. */
home_status home_settings_resolve(const home_config *given, home_arena *arena, home_settings *settings,
                                  home_error *error);

/* JSON text -> config struct in the arena, unchecked but for names and types of the fields. */
home_status home_config_from_json(const char *json, size_t length, home_arena *arena, home_config *config,
                                  home_error *error);

/* The complete configuration as JSON. */
void home_config_to_json(const home_settings *settings, home_text *text);

#endif
