// libhome for C++17: one header over home/home.h. What fails throws home::error.
//
//     home::predictor model = home::predictor::load("model.safetensors");
//     std::vector<float> probabilities = model.predict({rows, {dense}});
//
// Two classes make the library's rule for threads a matter of types:
//
//   model      has one owner: it moves, and is not copied. Its const functions may run in any
//              number of threads at once, the others only while no other thread uses it, as with a
//              standard container.
//   predictor  a frozen model, which copies share; the last one frees it. All its functions are
//              const, so any number of threads may use one object, or a copy each.
//
// What was moved from can only be destroyed or assigned to. There is no lock in here: what home.h
// says of fork() and of signals holds as it is.
//
// metrics, health and checkpoint are the library's objects of these names: they move, and are not
// copied; const functions may run in any number of threads at once.
//
// get() gives the C handle for all that has no wrapper:
//
//   making      home_model_create, home_config_check, home_model_retain, home_model_release
//   batches     home_model_predict_flat, home_model_forward_flat: a batch here has vectors already
//   serving     home_workspace_size, home_workspace_init, home_workspace_fits, home_image_write,
//               home_image_model_size, home_image_open, home_model_set_parallel
//   the rest    home_version, home_version_string, home_status_string, home_hash_id,
//               home_health_bin_edge
#ifndef HOME_HOME_HPP
#define HOME_HOME_HPP

#if defined(_MSVC_LANG) ? _MSVC_LANG < 201703L : __cplusplus < 201703L
#error "home/home.hpp needs C++17; in C++11 and C++14, home/home.h is the whole interface"
#endif

#include <home/home.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace home {

// What the library refused: status() is one of HOME_E_*, what() says which value and why.
class error : public std::runtime_error {
  public:
    explicit error(const home_error &failure)
        : std::runtime_error(failure.message), status_(failure.status) {
    }
    home_status status() const noexcept {
        return status_;
    }

  private:
    home_status status_;
};

// A piece of somebody else's memory, as std::span in C++20: it must outlive the calls that read it,
// and not change during them.
template <typename T> struct view {
    const T *data = nullptr;
    std::size_t size = 0;

    view() = default;
    view(const T *begin, std::size_t count) noexcept : data(begin), size(count) {
    }
    view(const std::vector<T> &values) noexcept : data(values.data()), size(values.size()) {
    }
};

// Rows of floats. `stride` leads from one row to the next, in elements; 0: they touch.
struct matrix {
    view<float> values = {};
    std::size_t stride = 0;
};

// The ids of a field: one a row; or, with offsets, row r has ids[offsets[r]] .. ids[offsets[r + 1]
// - 1]. weights, if any: what each of `ids` counts.
struct field {
    view<std::uint64_t> ids = {};
    view<std::size_t> offsets = {};
    view<float> weights = {};
};

// What a model reads; `fields` in the order of the configuration.
struct batch {
    std::size_t rows = 0;
    matrix dense = {};
    std::vector<field> fields = {};
};

// What was seen on a batch's rows: labels [rows, tasks], NaN where missing; weights where there are
// any. For training by parts (home_model_backward() in home.h): total_weights [tasks], and whether
// gradients are added to those since the last step.
struct targets {
    matrix labels = {};
    view<float> row_weights = {};
    matrix weights = {};
    view<double> total_weights = {};
    bool accumulate = false;
};

// Predictions and the logits that they come from, each [rows, tasks].
struct scores {
    std::vector<float> predictions;
    std::vector<float> logits;
};

// What a process says about a model that it makes (home_create_options, home_load_options).
struct limits {
    std::uint64_t memory_limit = 0; // bytes; 0: home.h has the defaults
    std::string isa = {};           // "": any
};

// One error of a configuration: the place, such as "layers[0].width", and what is wrong with it.
struct config_error {
    std::string where;
    home_status status;
    std::string message;
};

// Rows for metrics: predictions and labels [rows, tasks], labels NaN where missing; of users,
// HOME_NO_USER for a row without one; weights where there are any.
struct seen_rows {
    std::size_t rows = 0;
    matrix predictions = {};
    matrix labels = {};
    view<std::uint64_t> users = {};
    view<float> row_weights = {};
    matrix weights = {};
};

namespace detail {

// An empty struct of the C interface.
template <typename Struct> Struct sized() {
    Struct empty{};
    empty.struct_size = sizeof empty;
    return empty;
}

// Calls a function of the C interface that ends in a home_error *.
template <typename Function, typename... Arguments>
void call(Function function, Arguments... arguments) {
    home_error failure = sized<home_error>();
    if (function(arguments..., &failure) != HOME_OK)
        throw error(failure);
}

// What a function of the C interface writes to memory whose size it tells first.
template <typename Function, typename... Arguments>
std::vector<unsigned char> written(Function function, Arguments... arguments) {
    std::size_t length = 0;
    call(function, arguments..., nullptr, std::size_t{0}, &length);
    std::vector<unsigned char> bytes(length);
    call(function, arguments..., bytes.data(), length, &length);
    return bytes;
}

// An object of the C interface with one owner.
template <auto destroy> struct destroyer {
    template <typename Object> void operator()(Object *object) const noexcept {
        destroy(object);
    }
};

inline std::string text_or_empty(const char *text) {
    return text ? text : "";
}

template <typename Of, typename Name>
std::vector<std::string> names(const Of *of, std::size_t count, Name name) {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < count; i++)
        all.push_back(text_or_empty(name(of, i)));
    return all;
}

// A zero byte would end the text for C.
inline const char *c_string(const std::string &text) {
    if (text.find('\0') != std::string::npos)
        throw std::invalid_argument(std::string("a zero byte in a text, after ") + text.c_str());
    return text.c_str();
}

// C trusts the lengths behind its pointers; they are checked here.
inline const float *checked(const char *name, const matrix &m, std::size_t rows,
                            std::size_t width) {
    const std::size_t stride = m.stride ? m.stride : width;
    const bool none = rows == 0 || width == 0;
    if (!none &&
        (stride < width || m.values.size < width || (m.values.size - width) / stride < rows - 1))
        throw std::invalid_argument(std::string(name) + ": " + std::to_string(m.values.size) +
                                    " values and stride " + std::to_string(stride) +
                                    " do not make " + std::to_string(rows) + " rows of " +
                                    std::to_string(width));
    return m.values.data;
}

inline home_ids checked(const char *name, const field &f, std::size_t rows) {
    const std::size_t offsets = f.offsets.size;
    const bool one_a_row = !f.offsets.data;
    const bool weighs = f.weights.data != nullptr;
    const bool fits =
        one_a_row ? f.ids.size == rows
                  : offsets > 0 && offsets - 1 == rows && f.offsets.data[rows] <= f.ids.size;
    if (weighs && f.weights.size != f.ids.size)
        throw std::invalid_argument("field \"" + std::string(name) +
                                    "\": " + std::to_string(f.weights.size) + " weights for " +
                                    std::to_string(f.ids.size) + " ids");
    if (!fits)
        throw std::invalid_argument(
            "field \"" + std::string(name) + "\": " + std::to_string(f.ids.size) + " ids" +
            (one_a_row ? "" : " and " + std::to_string(offsets) + " offsets") + " do not fit " +
            std::to_string(rows) + " rows");
    home_ids ids = sized<home_ids>();
    ids.ids = f.ids.data;
    ids.offsets = f.offsets.data;
    ids.weights = f.weights.data;
    return ids;
}

template <typename T>
const T *checked(const char *name, const view<T> &values, std::size_t expected) {
    if (values.data && values.size != expected)
        throw std::invalid_argument(std::string(name) + ": " + std::to_string(values.size) +
                                    " values, expected " + std::to_string(expected));
    return values.data;
}

inline home_targets checked(const targets &t, std::size_t rows, std::size_t tasks) {
    home_targets made = sized<home_targets>();
    made.labels = checked("labels", t.labels, rows, tasks);
    made.label_stride = t.labels.stride;
    made.row_weights = checked("row_weights", t.row_weights, rows);
    if (t.weights.values.data)
        made.weights = checked("weights", t.weights, rows, tasks);
    made.weight_stride = t.weights.stride;
    made.total_weights = checked("total_weights", t.total_weights, tasks);
    made.accumulate = t.accumulate ? HOME_ON : HOME_OFF;
    return made;
}

struct c_batch {
    std::vector<home_ids> ids;
    home_batch value{};

    c_batch(const home_model *model, const batch &b) {
        const std::size_t fields = home_model_field_count(model);
        if (b.fields.size() != fields)
            throw std::invalid_argument("ids of " + std::to_string(b.fields.size()) +
                                        " fields, expected " + std::to_string(fields));
        for (std::size_t f = 0; f < fields; f++)
            ids.push_back(checked(home_model_field_name(model, f), b.fields[f], b.rows));
        value.struct_size = sizeof value;
        value.rows = b.rows;
        value.dense = checked("dense", b.dense, b.rows, home_model_dense_width(model));
        value.dense_stride = b.dense.stride;
        value.fields = ids.data();
        value.field_count = ids.size();
    }
    c_batch(const c_batch &) = delete; // points into itself
};

// What the library lets any number of threads do with one handle.
class reader {
  public:
    // The C handle, which stays with this object; for functions that take a const home_model *.
    const home_model *get() const noexcept {
        return handle_.get();
    }
    // What a row has and gets: dense values, predictions; and the names of tasks and id fields, in
    // order.
    std::size_t dense_width() const noexcept {
        return home_model_dense_width(get());
    }
    std::size_t task_count() const noexcept {
        return home_model_task_count(get());
    }
    std::vector<std::string> tasks() const {
        return names(get(), task_count(), home_model_task_name);
    }
    std::vector<std::string> fields() const {
        return names(get(), home_model_field_count(get()), home_model_field_name);
    }
    std::vector<std::string> tables() const {
        return names(get(), home_model_table_count(get()), home_model_table_name);
    }
    // Empty texts where the configuration names no dense values.
    std::vector<std::string> dense_names() const {
        return names(get(), dense_width(), home_model_dense_name);
    }
    // The units of a layer, and how many layers there are.
    std::size_t layer_count() const noexcept {
        return home_model_layer_count(get());
    }
    std::vector<std::string> units(std::size_t layer) const {
        const home_model *of = get();
        const std::size_t count = home_model_unit_count(of, layer);
        std::vector<std::string> all;
        for (std::size_t i = 0; i < count; i++)
            all.emplace_back(home_model_unit_name(of, layer, i));
        return all;
    }
    // Numbers of names; SIZE_MAX where there is none.
    std::size_t task_index(const std::string &name) const {
        return home_model_task_index(get(), c_string(name));
    }
    std::size_t field_index(const std::string &name) const {
        return home_model_field_index(get(), c_string(name));
    }
    std::size_t table_index(const std::string &name) const {
        return home_model_table_index(get(), c_string(name));
    }
    std::size_t unit_index(std::size_t layer, const std::string &name) const {
        return home_model_unit_index(get(), layer, c_string(name));
    }
    // Compares the caller's names with the model's; an empty list is not compared. Throws error
    // with HOME_E_MISMATCH, which names the first difference.
    void check_names(const std::vector<std::string> &dense, const std::vector<std::string> &fields,
                     const std::vector<std::string> &tasks) const {
        std::vector<const char *> lists[3];
        const std::vector<std::string> *from[] = {&dense, &fields, &tasks};
        for (std::size_t i = 0; i < 3; i++)
            for (const std::string &name : *from[i])
                lists[i].push_back(c_string(name));
        home_names n = sized<home_names>();
        n.dense = lists[0].empty() ? nullptr : lists[0].data();
        n.dense_count = lists[0].size();
        n.fields = lists[1].empty() ? nullptr : lists[1].data();
        n.field_count = lists[1].size();
        n.tasks = lists[2].empty() ? nullptr : lists[2].data();
        n.task_count = lists[2].size();
        call(home_model_check_names, get(), &n);
    }

    // The complete configuration, defaults filled in; and who sees whom.
    std::string config_json() const {
        return home_model_config_json(get());
    }
    std::string topology_json() const {
        return home_model_topology_json(get());
    }
    // The text that checkpoints store under a key; "" where there is none.
    std::string metadata(const std::string &key) const {
        return text_or_empty(home_model_metadata(get(), c_string(key)));
    }
    // Facts: the instruction set, dense parameters, multiply-adds for a row, bytes of memory, rows
    // that a prediction takes through the model at once.
    std::string isa() const {
        return home_model_isa(get());
    }
    bool is_frozen() const noexcept {
        return home_model_is_frozen(get()) != 0;
    }
    std::uint64_t parameter_count() const noexcept {
        return home_model_parameter_count(get());
    }
    std::uint64_t macs_per_row() const noexcept {
        return home_model_macs_per_row(get());
    }
    std::uint64_t bytes() const noexcept {
        return home_model_bytes(get());
    }
    std::size_t block_rows() const noexcept {
        return home_model_block_rows(get());
    }

    // Predictions [rows, tasks]: probabilities of binary tasks. Any number of threads at once.
    // Throws std::invalid_argument where lengths do not fit, error with HOME_E_VALUE where an id is
    // out of range or offsets fall, and with HOME_E_MEMORY.
    std::vector<float> predict(const batch &rows) const {
        const c_batch b(get(), rows);
        std::vector<float> predictions(rows.rows * task_count());
        call(home_model_predict, get(), &b.value, predictions.data(), std::size_t{0}, nullptr);
        return predictions;
    }
    // The same with the logits, the towers' outputs before the sigmoid.
    scores predict_logits(const batch &rows) const {
        const c_batch b(get(), rows);
        const std::size_t count = rows.rows * task_count();
        scores both{std::vector<float>(count), std::vector<float>(count)};
        call(home_model_predict_logits, get(), &b.value, both.predictions.data(), std::size_t{0},
             both.logits.data(), std::size_t{0}, nullptr);
        return both;
    }

  protected:
    std::unique_ptr<home_model, destroyer<home_model_release>> handle_;

    explicit reader(home_model *made) noexcept : handle_(made) {
    }
};

inline home_load_options load_options(const limits &l, bool frozen) {
    home_load_options options = sized<home_load_options>();
    options.isa = l.isa.empty() ? nullptr : c_string(l.isa);
    options.memory_limit = l.memory_limit;
    options.frozen = frozen ? HOME_ON : HOME_OFF;
    return options;
}

// A model made by a function of the C interface.
template <typename Function, typename... Arguments>
home_model *made_by(Function function, Arguments... arguments) {
    home_model *made = nullptr;
    call(function, arguments..., &made);
    return made;
}

} // namespace detail

// A frozen model. Copies share it; the last one frees it.
class predictor : public detail::reader {
  public:
    // Straight from a checkpoint, or from a checkpoint's bytes, in less time and memory than
    // model::load() and freeze(). Each of its calls uses `threads` threads. Any thread. Throw what
    // model::load() throws.
    static predictor load(const std::string &path, std::size_t threads = 1,
                          const limits &allowed = {}) {
        const home_load_options options = detail::load_options(allowed, true);
        return predictor(detail::made_by(home_model_load, detail::c_string(path), &options),
                         threads);
    }
    static predictor load_memory(view<unsigned char> bytes, std::size_t threads = 1,
                                 const limits &allowed = {}) {
        const home_load_options options = detail::load_options(allowed, true);
        return predictor(detail::made_by(home_model_load_memory, bytes.data, bytes.size, &options),
                         threads);
    }

    predictor(const predictor &other) noexcept : reader(other.handle_.get()) {
        home_model_retain(get());
    }
    predictor(predictor &&) noexcept = default;
    predictor &operator=(predictor other) noexcept {
        handle_ = std::move(other.handle_);
        return *this;
    }

  private:
    friend class model;
    predictor(home_model *made, std::size_t threads) : reader(made) {
        detail::call(home_model_set_threads, made, threads);
    }
};

// A model that can be trained and saved. Has one owner.
class model : public detail::reader {
  public:
    // From a configuration in JSON (docs/model.md), from a checkpoint, and from a checkpoint's
    // bytes, which are copied. Any thread. Throw error with what home.h lists under
    // home_model_create_json() and home_model_load(), and std::invalid_argument where a path has a
    // zero byte.
    static model create(std::string_view config_json, const limits &allowed = {}) {
        const home_create_options options = create_options(allowed);
        return model(detail::made_by(home_model_create_json, config_json.data(), config_json.size(),
                                     &options));
    }
    static model load(const std::string &path, const limits &allowed = {}) {
        const home_load_options options = detail::load_options(allowed, false);
        return model(detail::made_by(home_model_load, detail::c_string(path), &options));
    }
    static model load(const void *data, std::size_t size, const limits &allowed = {}) {
        const home_load_options options = detail::load_options(allowed, false);
        return model(detail::made_by(home_model_load_memory, data, size, &options));
    }

    // All errors of a configuration in JSON; none where create() would find none. Any thread.
    static std::vector<config_error> check(std::string_view config_json,
                                           const limits &allowed = {}) {
        struct search {
            std::vector<config_error> found;
            std::exception_ptr thrown;
        } all;
        const home_create_options options = create_options(allowed);
        const auto report = [](void *user, const char *where,
                               const home_error *found) noexcept -> std::int32_t {
            search &s = *static_cast<search *>(user);
            try {
                s.found.push_back({where, found->status, found->message});
            } catch (...) {
                s.thrown = std::current_exception(); // which must not pass through C
            }
            return s.thrown ? 1 : 0;
        };
        home_error failure = detail::sized<home_error>();
        const home_status status = home_config_check_json(config_json.data(), config_json.size(),
                                                          &options, report, &all, &failure);
        if (all.thrown)
            std::rethrow_exception(all.thrown);
        if (status != HOME_OK && all.found.empty())
            throw error(failure);
        return std::move(all.found);
    }

    // The C handle; for functions that change the model.
    using reader::get;
    home_model *get() noexcept {
        return handle_.get();
    }

    // A copy for serving, which shares nothing with this model. Each of its calls uses `threads`
    // threads, 1 to 1024. Throws error with HOME_E_ARGUMENT for another number, and with
    // HOME_E_MEMORY. Any number of threads at once.
    predictor freeze(std::size_t threads = 1) const {
        return predictor(detail::made_by(home_model_freeze, get()), threads);
    }

    // Writes a checkpoint, with the optimizer's state if training is to go on. Throws error with
    // HOME_E_FILE, HOME_E_VALUE (a weight is not finite) and HOME_E_MEMORY; the old file is then
    // whole. Any number of threads at once.
    void save(const std::string &path, bool optimizer = false) const {
        detail::call(home_model_save, get(), detail::c_string(path),
                     optimizer ? HOME_SAVE_OPTIMIZER : 0u);
    }

    // The bytes that save() would write. Any number of threads at once.
    std::vector<unsigned char> serialize(bool optimizer = false) const {
        return detail::written(home_model_serialize, get(), optimizer ? HOME_SAVE_OPTIMIZER : 0u);
    }
    // Takes the weights of a safetensors file that has exactly this model's tensors.
    void load_weights(const std::string &path) {
        detail::call(home_model_load_weights, get(), detail::c_string(path));
    }
    // Stores a text under a key in checkpoints. remove_metadata() takes it away.
    void set_metadata(const std::string &key, const std::string &value) {
        detail::call(home_model_set_metadata, get(), detail::c_string(key),
                     detail::c_string(value));
    }
    void remove_metadata(const std::string &key) {
        detail::call(home_model_set_metadata, get(), detail::c_string(key), nullptr);
    }

    // One step of the optimizer: forward(), backward() and step(). Returns each task's loss before
    // it, [tasks]. Throws std::invalid_argument where lengths do not fit, error with
    // HOME_E_ARGUMENT (no rows, or one where there are batch norms), HOME_E_VALUE (a value that is
    // not allowed) and HOME_E_MEMORY. No other thread may use the model meanwhile.
    std::vector<float> train_step(const batch &rows, const targets &seen) {
        detail::checked(seen, rows.rows, task_count()); // before anything moves
        forward(rows);
        std::vector<float> losses = backward(seen);
        step();
        return losses;
    }

    // The parts of a step. They throw what train_step() does; forward() returns predictions
    // [rows, tasks], backward() the losses [tasks]. backward_from() takes the derivatives of a loss
    // of the caller's by each logit, [rows, tasks]. task_gradient() gives those of one task.
    std::vector<float> forward(const batch &rows) {
        const detail::c_batch b(get(), rows);
        std::vector<float> predictions(rows.rows * task_count());
        detail::call(home_model_forward, get(), &b.value, predictions.data(), std::size_t{0});
        rows_ = rows.rows;
        return predictions;
    }
    std::vector<float> logits() const {
        std::vector<float> all(rows_ * task_count());
        detail::call(home_model_logits, get(), rows_ ? all.data() : &none_, std::size_t{0});
        return all;
    }
    std::vector<float> backward(const targets &seen) {
        const home_targets t = detail::checked(seen, rows_, task_count());
        std::vector<float> losses(task_count());
        detail::call(home_model_backward, get(), &t, losses.data());
        return losses;
    }
    void backward_from(const matrix &dlogits, bool accumulate = false) {
        const float *values = detail::checked("dlogits", dlogits, rows_, task_count());
        detail::call(home_model_backward_from, get(), values, dlogits.stride,
                     std::int32_t{accumulate ? HOME_ON : HOME_OFF});
    }
    std::vector<float> task_gradient(const targets &seen, std::size_t task) {
        const home_targets t = detail::checked(seen, rows_, task_count());
        std::vector<float> gradients(parameter_count());
        detail::call(home_model_task_gradient, get(), &t, task, gradients.data(), gradients.size(),
                     nullptr);
        return gradients;
    }
    void step() {
        detail::call(home_model_step, get());
    }

    // The gradients, in memory of the library's that may be changed before the step: of the dense
    // parameters, of a table, of the dense input (home_gradient in home.h). And those of the
    // caller's: of all dense parameters; of table rows, [ids, dim].
    home_gradient gradient() {
        return gradient_by(home_model_gradient);
    }
    home_gradient table_gradient(std::size_t table) {
        return gradient_by(home_model_table_gradient, table);
    }
    home_gradient input_gradient() {
        return gradient_by(home_model_input_gradient);
    }
    void set_gradient(view<float> values) {
        detail::call(home_model_set_gradient, get(), values.data, values.size);
    }
    void set_table_gradient(std::size_t table, view<std::uint64_t> ids, const matrix &values) {
        const std::string name =
            "embeddings." + detail::text_or_empty(home_model_table_name(get(), table)) + ".weight";
        const std::size_t dim =
            table < home_model_table_count(get()) ? std::size_t(tensor(name).shape[1]) : 0;
        detail::call(home_model_set_table_gradient, get(), table, ids.data, ids.size,
                     detail::checked("values", values, ids.size, dim), values.stride);
    }
    double gradient_norm() const {
        return home_model_gradient_norm(get());
    }
    // The norm of the gradient of one unit's experts, from gradient() or task_gradient().
    double unit_gradient_norm(std::size_t layer, std::size_t unit,
                              view<float> gradients = {}) const {
        double norm = 0;
        const std::size_t count = gradients.data ? gradients.size : std::size_t(parameter_count());
        detail::call(home_model_unit_gradient_norm, get(), layer, unit, gradients.data, count,
                     &norm);
        return norm;
    }
    std::uint64_t step_count() const noexcept {
        return home_model_step_count(get());
    }

    // The tensors by name, in the order of the checkpoint, and one of them (home_tensor in home.h).
    std::vector<std::string> tensors() const {
        std::vector<std::string> all;
        for (std::size_t i = 0; i < home_model_tensor_count(get()); i++) {
            home_tensor t = detail::sized<home_tensor>();
            detail::call(home_model_tensor_at, get(), i, &t);
            all.emplace_back(t.name);
        }
        return all;
    }
    home_tensor tensor(const std::string &name) const {
        home_tensor t = detail::sized<home_tensor>();
        detail::call(home_model_tensor, get(), detail::c_string(name), &t);
        return t;
    }
    void set_tensor(const std::string &name, view<float> values) {
        detail::call(home_model_set_tensor, get(), detail::c_string(name), values.data,
                     values.size);
    }

    // What may change while training, from the next call on: the rates of dense parameters and of
    // embedding tables (0 to 1e6), a task's weight, the batch norms' momentum, and which tensors
    // train, by a pattern of names.
    void set_learning_rate(double rate) {
        detail::call(home_model_set_learning_rate, get(), rate);
    }
    void set_embedding_learning_rate(double rate) {
        detail::call(home_model_set_embedding_learning_rate, get(), rate);
    }
    void set_task_weight(std::size_t task, double weight) {
        detail::call(home_model_set_task_weight, get(), task, weight);
    }
    void set_norm_momentum(double momentum) {
        detail::call(home_model_set_norm_momentum, get(), momentum);
    }
    void set_trained(const std::string &pattern, bool trained) {
        detail::call(home_model_set_trained, get(), detail::c_string(pattern),
                     std::int32_t{trained ? HOME_ON : HOME_OFF});
    }
    double learning_rate() const noexcept {
        return home_model_learning_rate(get());
    }
    double embedding_learning_rate() const noexcept {
        return home_model_embedding_learning_rate(get());
    }
    double task_weight(std::size_t task) const noexcept {
        return home_model_task_weight(get(), task);
    }
    double norm_momentum() const noexcept {
        return home_model_norm_momentum(get());
    }
    // Lets each call use that many threads of the model's own, 1 to 1024; results do not change.
    void set_threads(std::size_t threads) {
        detail::call(home_model_set_threads, get(), threads);
    }

  private:
    using reader::reader;

    std::size_t rows_ = 0; // of the last forward: C trusts the lengths that go with it
    mutable float none_ = 0;

    static home_create_options create_options(const limits &l) {
        home_create_options options = detail::sized<home_create_options>();
        options.isa = l.isa.empty() ? nullptr : detail::c_string(l.isa);
        options.memory_limit = l.memory_limit;
        return options;
    }
    template <typename Function, typename... Arguments>
    home_gradient gradient_by(Function function, Arguments... arguments) {
        home_gradient found = detail::sized<home_gradient>();
        detail::call(function, get(), arguments..., &found);
        return found;
    }
};

// How good predictions are, over any number of batches (docs/metrics.md).
class metrics {
  public:
    // losses: [tasks] HOME_LOSS_*; none: all binary. max_bytes: 0 keeps all rows.
    explicit metrics(std::size_t tasks, const std::vector<std::int32_t> &losses = {},
                     std::size_t max_bytes = 0)
        : tasks_(tasks) {
        home_metrics_options options = detail::sized<home_metrics_options>();
        options.tasks = tasks;
        options.losses =
            losses.empty() ? nullptr : detail::checked("losses", view<std::int32_t>(losses), tasks);
        options.max_bytes = max_bytes;
        home_metrics *made = nullptr;
        detail::call(home_metrics_create, &options, &made);
        handle_.reset(made);
    }
    home_metrics *get() noexcept {
        return handle_.get();
    }

    // Throws std::invalid_argument where lengths do not fit, error with HOME_E_VALUE (a label, a
    // prediction or a weight that is not allowed) and HOME_E_MEMORY.
    void add(const seen_rows &r) {
        home_metrics_rows rows = detail::sized<home_metrics_rows>();
        rows.rows = r.rows;
        rows.predictions = detail::checked("predictions", r.predictions, r.rows, tasks_);
        rows.prediction_stride = r.predictions.stride;
        rows.labels = detail::checked("labels", r.labels, r.rows, tasks_);
        rows.label_stride = r.labels.stride;
        rows.users = detail::checked("users", r.users, r.rows);
        rows.row_weights = detail::checked("row_weights", r.row_weights, r.rows);
        if (r.weights.values.data)
            rows.weights = detail::checked("weights", r.weights, r.rows, tasks_);
        rows.weight_stride = r.weights.stride;
        detail::call(home_metrics_add, get(), &rows);
    }
    void reset() noexcept {
        home_metrics_reset(get());
    }
    // From another one, and from the bytes of one on another machine.
    void merge(const metrics &from) {
        detail::call(home_metrics_merge, get(), from.handle_.get());
    }
    void merge(view<unsigned char> bytes) {
        detail::call(home_metrics_merge_bytes, get(), bytes.data, bytes.size);
    }
    std::vector<unsigned char> serialize() const {
        return detail::written(home_metrics_serialize, handle_.get());
    }
    home_metric_result result(std::size_t task) const {
        home_metric_result figures = detail::sized<home_metric_result>();
        detail::call(home_metrics_result, handle_.get(), task, &figures);
        return figures;
    }

  private:
    std::size_t tasks_;
    std::unique_ptr<home_metrics, detail::destroyer<home_metrics_destroy>> handle_;
};

// What experts and gates compute on rows that it is shown (docs/health.md).
class health {
  public:
    // Empty, for models like this one.
    explicit health(const detail::reader &model) {
        home_health *made = nullptr;
        detail::call(home_health_create, model.get(), nullptr, &made);
        handle_.reset(made);
    }
    home_health *get() noexcept {
        return handle_.get();
    }
    const home_health *get() const noexcept {
        return handle_.get();
    }

    void add(const detail::reader &model, const batch &rows) {
        const detail::c_batch b(model.get(), rows);
        detail::call(home_health_add, get(), model.get(), &b.value);
    }
    void reset() noexcept {
        home_health_reset(get());
    }
    void merge(const health &from) {
        detail::call(home_health_merge, get(), from.get());
    }
    void merge(view<unsigned char> bytes) {
        detail::call(home_health_merge_bytes, get(), bytes.data, bytes.size);
    }
    std::vector<unsigned char> serialize() const {
        return detail::written(home_health_serialize, get());
    }
    std::uint64_t rows() const noexcept {
        return home_health_rows(get());
    }
    std::vector<home_expert_health> experts() const {
        return all<home_expert_health>(home_health_expert_count(get()), home_health_expert);
    }
    std::vector<home_node_health> nodes() const {
        return all<home_node_health>(home_health_node_count(get()), home_health_node);
    }
    double gate_weight(std::size_t node, std::size_t expert) const noexcept {
        return home_health_gate_weight(get(), node, expert);
    }
    double self_weight(std::size_t node, std::size_t expert) const noexcept {
        return home_health_self_weight(get(), node, expert);
    }
    double distance(std::size_t a, std::size_t b) const noexcept {
        return home_health_distance(get(), a, b);
    }
    std::vector<std::uint64_t> histogram(std::size_t expert) const {
        std::vector<std::uint64_t> counts(HOME_HEALTH_BINS);
        detail::call(home_health_histogram, get(), expert, counts.data());
        return counts;
    }

  private:
    std::unique_ptr<home_health, detail::destroyer<home_health_destroy>> handle_;

    template <typename Figures, typename Function>
    std::vector<Figures> all(std::size_t count, Function function) const {
        std::vector<Figures> found(count, detail::sized<Figures>());
        for (std::size_t i = 0; i < count; i++)
            detail::call(function, get(), i, &found[i]);
        return found;
    }
};

// The header of a checkpoint, read without its tensors.
class checkpoint {
  public:
    // Throw error with what home.h lists under home_checkpoint_open().
    static checkpoint open(const std::string &path) {
        home_checkpoint *opened = nullptr;
        detail::call(home_checkpoint_open, detail::c_string(path), nullptr, &opened);
        return checkpoint(opened);
    }
    static checkpoint open(const void *data, std::size_t size) {
        home_checkpoint *opened = nullptr;
        detail::call(home_checkpoint_open_memory, data, size, nullptr, &opened);
        return checkpoint(opened);
    }
    const home_checkpoint *get() const noexcept {
        return handle_.get();
    }

    // The configuration, without what is at its default; "" for a file that libhome has not
    // written.
    std::string config_json() const {
        return detail::text_or_empty(home_checkpoint_config_json(get()));
    }
    std::string metadata(const std::string &key) const {
        return detail::text_or_empty(home_checkpoint_metadata(get(), detail::c_string(key)));
    }
    std::map<std::string, std::string> metadata() const {
        std::map<std::string, std::string> all;
        for (std::size_t i = 0; i < home_checkpoint_metadata_count(get()); i++)
            all[home_checkpoint_metadata_key(get(), i)] = home_checkpoint_metadata_text(get(), i);
        return all;
    }
    std::uint64_t step_count() const noexcept {
        return home_checkpoint_step_count(get());
    }
    bool has_optimizer() const noexcept {
        return home_checkpoint_has_optimizer(get()) != 0;
    }
    std::uint64_t bytes() const noexcept {
        return home_checkpoint_bytes(get());
    }
    // All tensors, in the order of the header, and one by its name; the pointers in them are valid
    // as long as this object.
    std::vector<home_stored_tensor> tensors() const {
        std::vector<home_stored_tensor> all(home_checkpoint_tensor_count(get()),
                                            detail::sized<home_stored_tensor>());
        for (std::size_t i = 0; i < all.size(); i++)
            detail::call(home_checkpoint_tensor_at, get(), i, &all[i]);
        return all;
    }
    home_stored_tensor tensor(const std::string &name) const {
        home_stored_tensor found = detail::sized<home_stored_tensor>();
        detail::call(home_checkpoint_tensor, get(), detail::c_string(name), &found);
        return found;
    }

  private:
    std::unique_ptr<home_checkpoint, detail::destroyer<home_checkpoint_destroy>> handle_;

    explicit checkpoint(home_checkpoint *opened) noexcept : handle_(opened) {
    }
};

} // namespace home

#endif
