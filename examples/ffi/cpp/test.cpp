// Tests of home.hpp. Usage: test CONFIG, with the configuration ../ids.json. Says what failed; the
// exit status is 0 when nothing did.
#include "rows.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
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

// Weights of one change nothing, others do; a wrong number of them never reaches C.
static void weights_of_ids(const home::model &model, const made_up_rows &rows,
                           const std::vector<float> &expected) {
    std::vector<std::vector<float>> weights;
    home::batch batch = rows.batch();
    for (home::field &field : batch.fields) {
        weights.emplace_back(field.ids.size, 1.0f);
        field.weights = {weights.back().data(), weights.back().size()};
    }
    CHECK(model.predict(batch) == expected);
    weights[2][0] = 3;
    CHECK(model.predict(batch) != expected);
    weights[1][0] = -1; // of a mean
    CHECK(throws<home::error>([&] { model.predict(batch); }));
    batch.fields[0].weights.size--;
    CHECK(throws<std::invalid_argument>([&] { model.predict(batch); }));
}

static void logits(const home::model &model, const made_up_rows &rows,
                   const std::vector<float> &expected) {
    const home::scores both = model.predict_logits(rows.batch());
    CHECK(both.predictions == expected);
    for (std::size_t i = 0; i < expected.size(); i++)
        CHECK(std::abs(1 / (1 + std::exp(-double(both.logits[i]))) - double(expected[i])) < 1e-6);
}

// Two halves with the sums of weights of the whole give what one batch gives, but for rounding.
static void parts(const std::string &config, const made_up_rows &rows) {
    std::string plain = config; // batch norms would see each half alone
    plain.insert(plain.rfind('}'), ", \"experts\": {\"norm\": \"none\"}");
    home::model whole = home::model::create(plain);
    home::model halves = home::model::create(plain);
    const std::size_t tasks = whole.task_count();
    std::vector<double> sums(tasks);
    for (std::size_t i = 0; i < rows.labels.size(); i++)
        sums[i % tasks] += std::isnan(rows.labels[i]) ? 0 : 1;
    whole.forward(rows.batch());
    const std::vector<float> losses = whole.backward({{rows.labels}});
    std::vector<float> added(tasks);
    for (std::size_t first = 0; first < rows.count; first += rows.count / 2) {
        const made_up_rows part(halves, first, rows.count / 2);
        halves.forward(part.batch());
        CHECK(halves.logits().size() == part.count * tasks);
        const std::vector<float> more = halves.backward({{part.labels}, {}, {}, sums, first > 0});
        for (std::size_t t = 0; t < tasks; t++)
            added[t] += more[t];
    }
    const home_gradient a = whole.gradient();
    const home_gradient b = halves.gradient();
    for (std::size_t i = 0; i < a.width; i++)
        CHECK(std::abs(a.data[i] - b.data[i]) < 1e-5f);
    for (std::size_t t = 0; t < tasks; t++)
        CHECK(std::abs(added[t] - losses[t]) < 1e-5f);
    const std::size_t user = whole.table_index("user");
    CHECK(whole.table_gradient(user).rows == halves.table_gradient(user).rows);
    halves.forward(rows.batch());
    CHECK(throws<std::invalid_argument>([&] {
        halves.backward({{{rows.labels.data(), rows.labels.size() / 2}}});
    }));
}

// A step from gradients of the caller's own.
static void own_gradients(const std::string &config, const made_up_rows &rows) {
    home::model model = home::model::create(config);
    home::model twin = home::model::create(config);
    const std::size_t user = model.table_index("user");
    model.train_step(rows.batch(), {{rows.labels}});
    twin.train_step(rows.batch(), {{rows.labels}});
    model.forward(rows.batch());
    model.backward({{rows.labels}});
    const home_gradient all = model.gradient();
    const std::vector<float> values(all.data, all.data + all.width);
    std::vector<std::vector<std::uint64_t>> ids;
    std::vector<std::vector<float>> table_values;
    for (std::size_t t = 0; t < model.tables().size(); t++) {
        const home_gradient g = model.table_gradient(t);
        CHECK(g.stride == g.width);
        ids.emplace_back(g.ids, g.ids + g.rows);
        table_values.emplace_back(g.data, g.data + g.rows * g.width);
    }
    model.step();
    twin.forward(rows.batch());
    twin.backward_from({std::vector<float>(rows.labels.size())}); // all zeros
    twin.set_gradient(values);
    for (std::size_t t = 0; t < ids.size(); t++)
        twin.set_table_gradient(t, ids[t], {table_values[t]});
    twin.step();
    CHECK(model.serialize(true) == twin.serialize(true));
    CHECK(model.input_gradient().rows == rows.count);
    model.forward(rows.batch());
    const std::vector<float> one = model.task_gradient({{rows.labels}}, 1);
    CHECK(one.size() == model.parameter_count());
    CHECK(model.unit_gradient_norm(0, model.unit_index(0, "act"), one) > 0);
    CHECK(throws<home::error>([&] { twin.table_gradient(9); }));
    CHECK(throws<home::error>([&] { twin.set_table_gradient(9, {}, {}); }));
    CHECK(user == 0);
}

static void settings(const std::string &config, const made_up_rows &rows) {
    home::model model = home::model::create(config);
    model.set_task_weight(1, 0);
    model.set_norm_momentum(0.5);
    model.set_trained("embeddings.*", false);
    CHECK(model.task_weight(1) == 0 && model.norm_momentum() == 0.5);
    CHECK(model.learning_rate() == 0.01 && model.embedding_learning_rate() == 0.1);
    const home_tensor table = model.tensor("embeddings.user.weight");
    const std::vector<float> before(table.data, table.data + table.shape[0] * table.shape[1]);
    model.train_step(rows.batch(), {{rows.labels}});
    CHECK(std::equal(before.begin(), before.end(), table.data));
    CHECK(model.step_count() == 1);
    CHECK(throws<home::error>([&] { model.set_trained("nothing", false); }));
    std::vector<float> zeros(before.size());
    model.set_tensor("embeddings.user.weight", zeros);
    CHECK(table.data[7] == 0);
    model.set_metadata("day", "monday");
    CHECK(model.metadata("day") == "monday");
    model.remove_metadata("day");
    CHECK(model.metadata("day").empty());
    CHECK(model.tensors().size() > 10 && model.layer_count() == 2);
    CHECK(model.units(0) == std::vector<std::string>({"shared", "act", "watch"}));
    CHECK(model.task_index("finish") == 2 && model.task_index("x") == SIZE_MAX);
    CHECK(model.bytes() > 4 * model.parameter_count() && model.block_rows() > 0);
    model.check_names({}, {"user", "liked", "watched"}, {"like", "follow", "finish"});
    CHECK(throws<home::error>([&] { model.check_names({}, {"user", "watched", "liked"}, {}); }));
}

// What predicts frozen needs no model that trains; a header no tensors.
static void files(const std::string &config, const made_up_rows &rows) {
    home::model model = home::model::create(config);
    model.train_step(rows.batch(), {{rows.labels}});
    model.set_metadata("day", "monday");
    const std::vector<unsigned char> bytes = model.serialize(true);
    const home::predictor frozen = home::predictor::load_memory(bytes, 2);
    CHECK(frozen.is_frozen() &&
          frozen.predict(rows.batch()) == model.freeze().predict(rows.batch()));
    CHECK(home::model::load(bytes.data(), bytes.size()).serialize(true) == bytes);
    home::limits small;
    small.memory_limit = 1000;
    CHECK(throws<home::error>([&] { home::predictor::load_memory(bytes, 1, small); }));
    home::limits portable;
    portable.isa = "portable";
    CHECK(home::predictor::load_memory(bytes, 1, portable).isa() == "portable");
    const home::checkpoint header = home::checkpoint::open(bytes.data(), bytes.size());
    CHECK(header.step_count() == 1 && header.has_optimizer() && header.bytes() == bytes.size());
    CHECK(header.metadata("day") == "monday" && header.metadata().size() == 1);
    CHECK(home::model::create(header.config_json()).config_json() == model.config_json());
    CHECK(header.tensors().size() > model.tensors().size());
    CHECK(header.tensor("embeddings.user.weight").shape[0] == 1000);
    CHECK(throws<home::error>([&] { home::checkpoint::open(bytes.data(), 100); }));
}

static void figures(const home::model &model, const made_up_rows &rows) {
    const std::vector<float> predictions = model.predict(rows.batch());
    const std::vector<std::uint64_t> users(rows.count, HOME_NO_USER);
    const home::seen_rows seen{rows.count, {predictions}, {rows.labels}, users, {}, {}};
    home::metrics all(model.task_count());
    all.add(seen);
    CHECK(all.result(0).auc > 0 && all.result(0).no_user_rows == all.result(0).rows);
    home::metrics other(model.task_count());
    other.merge(all);
    other.merge(all.serialize());
    CHECK(other.result(0).rows == 2 * all.result(0).rows);
    other.reset();
    CHECK(other.result(0).rows == 0);
    home::metrics bounded(1, {HOME_LOSS_BCE}, 1 << 20);
    CHECK(throws<std::invalid_argument>([&] {
        home::seen_rows cut = seen;
        cut.users.size--;
        all.add(cut);
    }));
    home::health health(model);
    health.add(model, rows.batch());
    home::health twice(model);
    twice.merge(health);
    twice.merge(health.serialize());
    CHECK(twice.rows() == 2 * rows.count);
    CHECK(health.experts().size() > 3 && health.nodes().size() > 3);
    CHECK(std::abs(health.experts()[0].mean - twice.experts()[0].mean) < 1e-12);
    std::uint64_t values = 0;
    for (const std::uint64_t count : health.histogram(0))
        values += count;
    CHECK(values == rows.count * health.experts()[0].width);
    twice.reset();
    CHECK(twice.rows() == 0);
}

static void configurations(const std::string &config) {
    CHECK(home::model::check(config).empty());
    const std::vector<home::config_error> found = home::model::check(
        R"({"dense": 0, "tasks": [{"name": "a", "weight": -1}], "layers": [{"width": 0}]})");
    CHECK(found.size() >= 2);
    for (const home::config_error &one : found)
        CHECK(one.status == HOME_E_CONFIG && one.message.find(one.where) == 0);
    CHECK(home::model::check("{").at(0).status == HOME_E_JSON);
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
    weights_of_ids(model, rows, expected);
    logits(model, rows, expected);
    parts(config, rows);
    own_gradients(config, rows);
    settings(config, rows);
    files(config, rows);
    figures(model, rows);
    configurations(config);
    training(std::move(model), rows);
    return failures != 0;
}
