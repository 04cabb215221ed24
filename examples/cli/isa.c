#include "isa.h"

#include <stdlib.h>
#include <string.h>

bool isa_read(const char **isa, failure *why) {
    static const char field[] = "options.isa";
    home_error error = {.struct_size = sizeof error};
    const char *given = getenv("HOME_ISA");
    *isa = given && *given ? given : NULL;
    /* The library has the list of names. It looks at options before it looks at the text. */
    const home_create_options options = {.struct_size = sizeof options, .isa = *isa};
    if (home_config_check_json("", 0, &options, NULL, NULL, &error) != HOME_E_ARGUMENT)
        return true;
    const size_t skipped = strncmp(error.message, field, strlen(field)) == 0 ? strlen(field) : 0;
    return fail(why, "HOME_ISA%s", error.message + skipped);
}
