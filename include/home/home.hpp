// libhome for C++17: one header over home/home.h. What fails throws home::error.
//
//     home::predictor model = home::model::load("model.safetensors").freeze();
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
// get() gives the C handle for all that has no wrapper:
//
//   making      home_model_create, home_model_retain, home_model_destroy
//   training    home_model_backward_from, home_model_task_gradient, home_model_gradients,
//               home_model_table_gradient, home_model_input_gradient,
//               home_model_unit_gradient_norm, home_model_gradient_norm, home_model_step_count
//   serving     home_workspace_size, home_workspace_init, home_image_write,
//               home_image_model_size, home_image_open, home_model_set_parallel
//   files       home_model_serialize, home_model_load_weights, home_model_set_metadata,
//               home_model_metadata
//   a look      home_model_topology_json, home_model_isa, home_model_is_frozen,
//               home_model_parameter_count, home_model_macs_per_row, home_model_tensor_count,
//               home_model_tensor_at, home_model_tensor, home_model_set_tensor
//   figures     home_metrics_*, home_health_*
//   the rest    home_version, home_version_string, home_status_string, home_hash_id
#ifndef HOME_HOME_HPP
#define HOME_HOME_HPP

#if defined(_MSVC_LANG) ? _MSVC_LANG < 201703L : __cplusplus < 201703L
#error "home/home.hpp needs C++17; in C++11 and C++14, home/home.h is the whole interface"
#endif

#include <home/home.h>

#include <cstddef>
#include <cstdint>
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
// - 1].
struct field {
    view<std::uint64_t> ids = {};
    view<std::size_t> offsets = {};
};

// What a model reads; `fields` in the order of the configuration.
struct batch {
    std::size_t rows = 0;
    matrix dense = {};
    std::vector<field> fields = {};
};

// What was seen on a batch's rows: labels [rows, tasks], NaN where missing; weights where there are
// any.
struct targets {
    matrix labels = {};
    view<float> row_weights = {};
    matrix weights = {};
};

namespace detail {

// Calls a function of the C interface that ends in a home_error *.
template <typename Function, typename... Arguments>
void call(Function function, Arguments... arguments) {
    home_error failure{};
    failure.struct_size = sizeof failure;
    if (function(arguments..., &failure) != HOME_OK)
        throw error(failure);
}

// A zero byte would end the text for C.
inline const char *c_string(const std::string &text) {
    if (text.find('\0') != std::string::npos)
        throw std::invalid_argument(std::string("a zero byte in the path, after ") + text.c_str());
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
    const bool fits =
        one_a_row ? f.ids.size == rows
                  : offsets > 0 && offsets - 1 == rows && f.offsets.data[rows] <= f.ids.size;
    if (!fits)
        throw std::invalid_argument(
            "field \"" + std::string(name) + "\": " + std::to_string(f.ids.size) + " ids" +
            (one_a_row ? "" : " and " + std::to_string(offsets) + " offsets") + " do not fit " +
            std::to_string(rows) + " rows");
    return {f.ids.data, f.offsets.data};
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
        return names(task_count(), home_model_task_name);
    }
    std::vector<std::string> fields() const {
        return names(home_model_field_count(get()), home_model_field_name);
    }
    // The complete configuration, defaults filled in.
    std::string config_json() const {
        return home_model_config_json(get());
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

  protected:
    struct release {
        void operator()(home_model *model) const noexcept {
            home_model_release(model);
        }
    };
    std::unique_ptr<home_model, release> handle_;

    explicit reader(home_model *made) noexcept : handle_(made) {
    }

  private:
    template <typename Name> std::vector<std::string> names(std::size_t count, Name name) const {
        std::vector<std::string> all;
        for (std::size_t i = 0; i < count; i++)
            all.emplace_back(name(get(), i));
        return all;
    }
};

} // namespace detail

// A frozen model, made by model::freeze(). Copies share it; the last one frees it.
class predictor : public detail::reader {
  public:
    predictor(const predictor &other) noexcept : reader(home_model_retain(other.get())) {
    }
    predictor(predictor &&) noexcept = default;
    predictor &operator=(predictor other) noexcept {
        handle_ = std::move(other.handle_);
        return *this;
    }

  private:
    friend class model;
    using reader::reader;
};

// A model that can be trained and saved. Has one owner.
class model : public detail::reader {
  public:
    // From a configuration in JSON (docs/model.md), from a checkpoint, and from a checkpoint's
    // bytes, which are copied. Any thread. Throw error with what home.h lists under
    // home_model_create_json() and home_model_load(), and std::invalid_argument where a path has a
    // zero byte.
    static model create(std::string_view config_json) {
        return made_by(home_model_create_json, config_json.data(), config_json.size(), nullptr);
    }
    static model load(const std::string &path) {
        return made_by(home_model_load, detail::c_string(path), nullptr);
    }
    static model load(const void *data, std::size_t size) {
        return made_by(home_model_load_memory, data, size, nullptr);
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
        home_model *made = nullptr;
        detail::call(home_model_freeze, get(), &made);
        predictor frozen(made);
        detail::call(home_model_set_threads, made, threads);
        return frozen;
    }

    // Writes a checkpoint, with the optimizer's state if training is to go on. Throws error with
    // HOME_E_FILE, HOME_E_VALUE (a weight is not finite) and HOME_E_MEMORY; the old file is then
    // whole. Any number of threads at once.
    void save(const std::string &path, bool optimizer = false) const {
        detail::call(home_model_save, get(), detail::c_string(path),
                     optimizer ? HOME_SAVE_OPTIMIZER : 0u);
    }

    // One step of the optimizer; returns each task's loss before it, [tasks]. Throws
    // std::invalid_argument where lengths do not fit, error with HOME_E_ARGUMENT (no rows, or one
    // where there are batch norms), HOME_E_VALUE (a value that is not allowed) and HOME_E_MEMORY.
    // No other thread may use the model meanwhile.
    std::vector<float> train_step(const batch &rows, const targets &seen) {
        const detail::c_batch b(get(), rows);
        home_targets t{};
        t.struct_size = sizeof t;
        t.labels = detail::checked("labels", seen.labels, rows.rows, task_count());
        t.label_stride = seen.labels.stride;
        if (seen.row_weights.data)
            t.row_weights = detail::checked("row_weights", {seen.row_weights}, rows.rows, 1);
        if (seen.weights.values.data)
            t.weights = detail::checked("weights", seen.weights, rows.rows, task_count());
        t.weight_stride = seen.weights.stride;
        std::vector<float> losses(task_count());
        detail::call(home_model_forward, get(), &b.value, nullptr, std::size_t{0});
        detail::call(home_model_backward, get(), &t, losses.data());
        detail::call(home_model_step, get());
        return losses;
    }

    // Of the dense parameters, and of the embedding tables, from the next step on: 0 to 1e6.
    void set_learning_rate(double rate) {
        detail::call(home_model_set_learning_rate, get(), rate);
    }
    void set_embedding_learning_rate(double rate) {
        detail::call(home_model_set_embedding_learning_rate, get(), rate);
    }
    // Lets each call use that many threads of the model's own, 1 to 1024; results do not change.
    void set_threads(std::size_t threads) {
        detail::call(home_model_set_threads, get(), threads);
    }

  private:
    using reader::reader;

    template <typename Function, typename... Arguments>
    static model made_by(Function function, Arguments... arguments) {
        home_model *made = nullptr;
        detail::call(function, arguments..., &made);
        return model(made);
    }
};

} // namespace home

#endif
