// The made-up rows of all examples; ../c/rows.h says what is in them.
#ifndef ROWS_HPP
#define ROWS_HPP

#include <home/home.hpp>

#include <cmath>

inline constexpr std::size_t ROWS = 64;

struct made_up_rows {
    std::size_t count;
    std::vector<float> dense;
    std::vector<std::vector<std::uint64_t>> ids;
    std::vector<std::vector<std::size_t>> offsets;
    std::vector<float> labels;

    // Rows first .. first + rows - 1.
    explicit made_up_rows(const home::detail::reader &model, std::size_t first = 0,
                          std::size_t rows = ROWS)
        : count(rows), ids(model.fields().size()), offsets(ids.size()) {
        const std::size_t width = model.dense_width();
        for (std::size_t f = 0; f < ids.size(); f++)
            offsets[f].push_back(0);
        for (std::size_t r = first; r < first + rows; r++) {
            for (std::size_t c = 0; c < width; c++)
                dense.push_back(static_cast<float>((37 * r + 11 * c + r * c) % 64) / 32.0f - 1.0f);
            for (std::size_t f = 0; f < ids.size(); f++) {
                for (std::size_t k = 0; k < (f == 0 ? 1 : (r + f) % 3); k++)
                    ids[f].push_back((131 * (r % 16) + 17 * f + k + 1) *
                                     UINT64_C(0x9E3779B97F4A7C15));
                offsets[f].push_back(ids[f].size());
            }
            for (std::size_t t = 0; t < model.task_count(); t++)
                labels.push_back((r + t) % 7 == 0 ? std::nanf("") : float((r % 16 + t) % 3 == 0));
        }
    }

    home::batch batch() const {
        home::batch made{count, {dense}, {}};
        for (std::size_t f = 0; f < ids.size(); f++)
            made.fields.push_back(f == 0 ? home::field{ids[f]} : home::field{ids[f], offsets[f]});
        return made;
    }
};

#endif
