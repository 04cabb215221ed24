/* The table of the kinds of step, and what their rows share. */
#include "steps.h"

const homestep_kind *const homestep_kinds[] = {HOMESTEP_EACH(HOMESTEP_ROW_ADDRESS)};

size_t homestep_number(const homestep_kind *kind) {
    size_t number = 0;
    while (homestep_kinds[number] != kind)
        number++;
    return number;
}

bool homestep_choose(homestep *step, const size_t choices[HOMESTEP_CHOICES]) {
    if (step->kind->set_choices)
        return step->kind->set_choices(step, choices);
    return choices[0] == 0 && choices[1] == 0 && choices[2] == 0;
}

bool homestep_have_width(const homestep *step, size_t first, size_t end, size_t stride,
                         size_t width) {
    for (size_t i = first; i < end; i += stride)
        if (step->in[i].view.width != width)
            return false;
    return true;
}
