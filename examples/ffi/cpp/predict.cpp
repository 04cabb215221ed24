// Loads a checkpoint in one thread, predicts the made-up rows in four others, and prints the bits
// of the probabilities; then the same with a frozen copy.
//
// Usage: predict MODEL
#include "rows.hpp"

#include <cstdio>
#include <cstring>
#include <future>

template <typename Model> static void predict_in_threads(const Model &model) {
    constexpr std::size_t threads = 4;
    constexpr std::size_t share = ROWS / threads;
    std::vector<std::future<std::vector<float>>> shares;
    for (std::size_t i = 0; i < threads; i++)
        shares.push_back(std::async(std::launch::async, [&model, i] {
            const made_up_rows rows(model, i * share, share);
            return model.predict(rows.batch());
        }));
    for (auto &made : shares) {
        const std::vector<float> predictions = made.get();
        for (std::size_t i = 0; i < predictions.size(); i++) {
            std::uint32_t bits;
            std::memcpy(&bits, &predictions[i], sizeof bits);
            std::printf("%08x%c", unsigned(bits), (i + 1) % model.task_count() ? ' ' : '\n');
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: predict MODEL\n");
        return 2;
    }
    try {
        const home::model model =
            std::async(std::launch::async, [&] { return home::model::load(argv[1]); }).get();
        const home::predictor frozen = model.freeze();
        predict_in_threads(model);
        predict_in_threads(frozen);
    } catch (const home::error &error) {
        std::fprintf(stderr, "error %d: %s\n", int(error.status()), error.what());
        return 1;
    }
}
