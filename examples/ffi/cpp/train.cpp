// Trains a model on the made-up rows, prints the tasks' losses as it goes, and saves it.
//
// Usage: train CONFIG MODEL
#include "rows.hpp"

#include <cstdio>
#include <fstream>
#include <iterator>

int main(int argc, char **argv) {
    constexpr int steps = 20;
    constexpr int steps_a_line = 5;
    if (argc != 3) {
        std::fprintf(stderr, "usage: train CONFIG MODEL\n");
        return 2;
    }
    std::ifstream file(argv[1]);
    if (!file) {
        std::fprintf(stderr, "cannot open %s\n", argv[1]);
        return 1;
    }
    try {
        const std::string config{std::istreambuf_iterator<char>(file), {}};
        home::model model = home::model::create(config);
        const made_up_rows rows(model);
        const std::vector<std::string> tasks = model.tasks();
        for (int step = 1; step <= steps; step++) {
            const std::vector<float> losses = model.train_step(rows.batch(), {{rows.labels}});
            if (step % steps_a_line != 0)
                continue;
            std::printf("step %d:", step);
            for (std::size_t t = 0; t < losses.size(); t++)
                std::printf(" %s %.9f", tasks[t].c_str(), double(losses[t]));
            std::printf("\n");
        }
        model.save(argv[2]);
    } catch (const home::error &error) {
        std::fprintf(stderr, "error %d: %s\n", int(error.status()), error.what());
        return 1;
    }
}
