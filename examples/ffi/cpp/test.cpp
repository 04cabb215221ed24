// Tests of home.hpp. Usage: test CONFIG, with the configuration ../ids.json. Says what failed; the
// exit status is 0 when nothing did.
#include "rows.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sys/wait.h>
#include <thread>
#include <type_traits>
#include <unistd.h>

static int failures = 0;

static void check(bool holds, const char *text) {
    if (!holds) {
        std::printf("failed: %s\n", text);
        failures++;
    }
}
#define CHECK(condition) check(condition, #condition)

template <typename Failure, typename Function> static bool throws(Function function) {
    try {
        function();
    } catch (const Failure &) {
        return true;
    }
    return false;
}

static_assert(!std::is_copy_constructible_v<home::model> &&
              !std::is_copy_assignable_v<home::model>);
static_assert(std::is_nothrow_move_constructible_v<home::model> &&
              std::is_nothrow_move_assignable_v<home::model>);
static_assert(std::is_nothrow_copy_constructible_v<home::predictor>);
static_assert(std::is_nothrow_move_constructible_v<home::predictor>);

static void wrong_lengths_never_reach_c(const home::model &model, const made_up_rows &rows) {
    const auto refused = [&](auto change) {
        home::batch batch = rows.batch();
        change(batch);
        return throws<std::invalid_argument>([&] { model.predict(batch); });
    };
    CHECK(refused([](home::batch &b) { b.dense.values.size--; }));
    CHECK(refused([](home::batch &b) { b.dense.values.size = 0; }));
    CHECK(refused([](home::batch &b) { b.dense.stride = 2; }));
    CHECK(refused([](home::batch &b) { b.dense.stride = SIZE_MAX; }));
    CHECK(refused([](home::batch &b) { b.rows++; }));
    CHECK(refused([](home::batch &b) { b.fields[0].ids.size--; }));
    CHECK(refused([](home::batch &b) { b.fields[1].ids.size--; }));
    CHECK(refused([](home::batch &b) { b.fields[1].offsets.size--; }));
    CHECK(refused([](home::batch &b) { b.fields.pop_back(); }));
    CHECK(refused([](home::batch &b) { b.rows = SIZE_MAX; }));
    CHECK(refused([](home::batch &b) { b.rows = SIZE_MAX / 4; }));
    std::vector<std::size_t> falling = rows.offsets[1];
    falling[0] = falling[1] + 1;
    CHECK(throws<home::error>([&] { // this one C sees by itself
        home::batch batch = rows.batch();
        batch.fields[1].offsets = falling;
        model.predict(batch);
    }));
    try {
        home::batch batch = rows.batch();
        batch.fields[0].ids.size--;
        model.predict(batch);
    } catch (const std::invalid_argument &error) {
        CHECK(std::string(error.what()) == "field \"user\": 63 ids do not fit 64 rows");
    }
}

static void strides(const home::model &model, const made_up_rows &rows,
                    const std::vector<float> &expected) {
    const std::size_t width = model.dense_width();
    const std::size_t stride = width + 2;
    std::vector<float> wide(rows.count * stride - 2, std::nanf(""));
    for (std::size_t r = 0; r < rows.count; r++)
        std::copy_n(&rows.dense[r * width], width, &wide[r * stride]);
    home::batch batch = rows.batch();
    batch.dense = {wide, stride};
    CHECK(model.predict(batch) == expected);
}

static void errors(const home::model &model) {
    try {
        home::model::load("/nowhere/model.safetensors");
        check(false, "load throws");
    } catch (const home::error &error) {
        CHECK(error.status() == HOME_E_FILE);
        CHECK(std::strstr(error.what(), "/nowhere/model.safetensors"));
    }
    const std::string zero_byte("nul\0x", 5);
    CHECK(throws<std::invalid_argument>([&] { home::model::load(zero_byte); }));
    CHECK(throws<std::invalid_argument>([&] { model.save(zero_byte); }));
    CHECK(throws<home::error>([] { home::model::create("{"); }));
    CHECK(throws<home::error>([] { home::model::load("no checkpoint", 13); }));
}

// Copies are made, used and dropped in several threads while the first one goes.
static void predictors_are_shared(const home::model &model, const made_up_rows &rows) {
    home::predictor first = model.freeze(2);
    const std::vector<float> expected = first.predict(rows.batch());
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int i = 0; i < 4; i++)
        threads.emplace_back([copy = first, &rows, &expected, &wrong] {
            for (int n = 0; n < 50; n++) {
                const home::predictor another = copy;
                wrong += another.predict(rows.batch()) != expected;
            }
        });
    first = model.freeze();
    for (std::thread &thread : threads)
        thread.join();
    CHECK(wrong == 0);
    CHECK(first.predict(rows.batch()) == expected);
}

// A child process uses and frees what other threads of its parent are predicting with.
static void children_use_what_they_inherit(const home::model &model, const made_up_rows &rows) {
    home::predictor shared = model.freeze(2);
    const std::vector<float> expected = shared.predict(rows.batch());
    std::atomic<bool> stop{false};
    std::thread thread([copy = shared, &rows, &stop] {
        while (!stop)
            copy.predict(rows.batch());
    });
    for (int i = 0; i < 20; i++) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(20); // ends a child that hangs
            bool same = shared.predict(rows.batch()) == expected;
            shared = model.freeze(2); // lets go of the inherited one
            same = same && shared.predict(rows.batch()) == expected;
            _exit(same ? 0 : 1);
        }
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    stop = true;
    thread.join();
}

// Steps that move nothing have the same losses.
static void learning_rates(const std::string &config, const made_up_rows &rows) {
    const auto moves = [&](double rate, double embedding_rate) {
        home::model model = home::model::create(config);
        model.set_learning_rate(rate);
        model.set_embedding_learning_rate(embedding_rate);
        const std::vector<float> first = model.train_step(rows.batch(), {{rows.labels}});
        return model.train_step(rows.batch(), {{rows.labels}}) != first;
    };
    CHECK(!moves(0, 0));
    CHECK(moves(0, 0.1));
    CHECK(moves(0.01, 0));
}

static void training(home::model model, const made_up_rows &rows) { // moved in
    const std::vector<float> weights(rows.count, 2.0f);
    const home::targets seen{{rows.labels}, weights, {}};
    const std::vector<float> first = model.train_step(rows.batch(), seen);
    model.set_learning_rate(0.02);
    model.set_threads(2);
    std::vector<float> last;
    for (int step = 0; step < 10; step++)
        last = model.train_step(rows.batch(), seen);
    for (std::size_t t = 0; t < first.size(); t++)
        CHECK(last[t] < first[t]);
    CHECK(throws<std::invalid_argument>([&] {
        model.train_step(rows.batch(), {{{rows.labels.data(), rows.labels.size() - 1}}, {}, {}});
    }));
    CHECK(throws<std::invalid_argument>([&] {
        model.train_step(rows.batch(), {{rows.labels}, {weights.data(), weights.size() - 1}, {}});
    }));
}

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: test CONFIG\n");
        return 2;
    }
    std::ifstream file(argv[1]);
    const std::string config{std::istreambuf_iterator<char>(file), {}};
    home::model model = home::model::create(config);
    const made_up_rows rows(model);
    const std::vector<float> expected = model.predict(rows.batch());
    CHECK(model.fields() == std::vector<std::string>({"user", "liked", "watched"}));
    CHECK(model.config_json().find("\"preset\"") != std::string::npos);
    wrong_lengths_never_reach_c(model, rows);
    strides(model, rows, expected);
    errors(model);
    predictors_are_shared(model, rows);
    children_use_what_they_inherit(model, rows);
    learning_rates(config, rows);
    training(std::move(model), rows);
    return failures != 0;
}
