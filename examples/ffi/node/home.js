// libhome for Node.js, by the FFI package koffi; serving only.
//
//     const model = Model.load('model.safetensors', {frozen: true});
//     const probabilities = model.predict({dense, ids: {user, liked: {ids, offsets}}});         // Float32Array
//     const later = await model.predictAsync({dense, ids: {...}});                // on a thread of Node's own pool
//
// Every function reads the model only, so any number of calls may run at the same time, in Node's pool and in
// workers. A Model object stays in its thread; share() takes the model to another one:
//
//     worker.postMessage(model.share());              and there:  const model = Model.from(token);
//
// close() frees a model early, Node's garbage collector frees forgotten ones; calls still running keep it alive.
// A worker that ends without closing its models keeps their memory. It may be terminated at any time, also during calls.
// The shared library is $HOME_LIBRARY, or build/libhome.so of this tree, or else the installed one.
//
// Not wrapped, of home.h:
//
//   making      home_model_create, home_model_create_json, home_config_check, home_config_check_json,
//               home_model_load_memory
//   batches     home_model_predict (home_model_predict_logits is used), home_model_predict_flat,
//               home_model_forward_flat
//   training    home_model_forward, home_model_logits, home_model_backward, home_model_backward_from, home_model_step,
//               home_model_task_gradient, home_model_gradient, home_model_table_gradient, home_model_input_gradient,
//               home_model_set_gradient, home_model_set_table_gradient, home_model_unit_gradient_norm,
//               home_model_gradient_norm, home_model_step_count, home_model_set_learning_rate,
//               home_model_set_embedding_learning_rate, home_model_set_task_weight, home_model_set_norm_momentum,
//               home_model_set_trained, home_model_learning_rate, home_model_embedding_learning_rate,
//               home_model_task_weight, home_model_norm_momentum
//   serving     home_workspace_size, home_workspace_init, home_workspace_fits, home_image_write,
//               home_image_model_size, home_image_open, home_model_set_parallel, home_model_set_threads,
//               home_model_block_rows
//   files       home_model_save, home_model_serialize, home_model_load_weights, home_model_set_metadata,
//               home_model_metadata, home_checkpoint_*
//   a look      home_model_config_json, home_model_topology_json, home_model_isa, home_model_is_frozen,
//               home_model_parameter_count, home_model_macs_per_row, home_model_bytes, home_model_check_names,
//               home_model_dense_name, home_model_field_index, home_model_task_index, home_model_table_count,
//               home_model_table_name, home_model_table_index, home_model_layer_count, home_model_unit_count,
//               home_model_unit_name, home_model_unit_index, home_model_tensor_count, home_model_tensor_at,
//               home_model_tensor, home_model_set_tensor
//   figures     home_health_*
//   the rest    home_version, home_version_string, home_status_string, home_hash_id

import {existsSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import koffi from 'koffi';

const built = fileURLToPath(new URL('../../../build/libhome.so', import.meta.url));
const library = koffi.load(process.env.HOME_LIBRARY || (existsSync(built) ? built : 'libhome.so.0.2'));

// Structs are typed arrays here. Objects, whose properties koffi would read, are not safe in a worker that is
// terminated at that moment: the process crashes.
if (koffi.sizeof('size_t') !== 8)
    throw new Error('a machine of 64 bits is needed');
const MESSAGE_BYTES = 244;
koffi.opaque('home_model');
koffi.opaque('home_metrics');
const c = Object.fromEntries([
    'int32_t home_model_load(const char *path, void *options, void *model, void *error)',
    'int32_t home_model_freeze(home_model *model, void *frozen, void *error)',
    'home_model *home_model_retain(home_model *model)',
    'void home_model_release(home_model *model)',
    'int32_t home_model_predict_logits(home_model *model, void *batch, void *predictions, size_t stride, ' +
        'void *logits, size_t logit_stride, void *workspace, void *error)',
    'size_t home_model_dense_width(home_model *model)',
    'size_t home_model_field_count(home_model *model)',
    'const char *home_model_field_name(home_model *model, size_t field)',
    'size_t home_model_task_count(home_model *model)',
    'const char *home_model_task_name(home_model *model, size_t task)',
    'int32_t home_metrics_create(void *options, void *metrics, void *error)',
    'void home_metrics_destroy(home_metrics *metrics)',
    'void home_metrics_reset(home_metrics *metrics)',
    'int32_t home_metrics_add(home_metrics *metrics, void *rows, void *error)',
    'int32_t home_metrics_merge(home_metrics *into, home_metrics *from, void *error)',
    'int32_t home_metrics_serialize(home_metrics *metrics, void *buffer, size_t capacity, void *length, void *error)',
    'int32_t home_metrics_merge_bytes(home_metrics *into, void *bytes, size_t size, void *error)',
    'int32_t home_metrics_result(home_metrics *metrics, size_t task, void *result, void *error)',
].map((declaration) => [/home_(?:model_)?(\w+)\(/.exec(declaration)[1], library.func(declaration)]));

/** What the library refused: `status` is one of HOME_E_*, the message says which value and why. */
export class HomeError extends Error {
    constructor({status, message}) {
        super(message);
        this.name = 'HomeError';
        this.status = status;
    }
}

// A home_error: size_t struct_size, int32_t status, char message[].
function newError() {
    const error = new Uint8Array(8 + 4 + MESSAGE_BYTES);
    new BigUint64Array(error.buffer, 0, 1)[0] = BigInt(error.length);
    return error;
}

function check(status, error) {
    if (status === 0)
        return;
    const message = error.subarray(8 + 4);
    throw new HomeError({status, message: new TextDecoder().decode(message.subarray(0, message.indexOf(0)))});
}

const forgotten = new FinalizationRegistry((handle) => c.release(handle));

export class Model {
    #handle;

    /** For load(), freeze() and from(): takes over one reference. */
    constructor(handle) {
        this.#handle = handle;
        forgotten.register(this, handle, this);
        this.denseWidth = c.dense_width(handle);
        this.fields = Array.from({length: c.field_count(handle)}, (_, f) => c.field_name(handle, f));
        this.tasks = Array.from({length: c.task_count(handle)}, (_, t) => c.task_name(handle, t));
        [this, this.fields, this.tasks].forEach(Object.freeze); // memory for C has these lengths
    }

    /**
     * A model from the checkpoint at `path`, a string. frozen: straight to what freeze() makes, in less time and
     * memory. memoryLimit: the most bytes that it may take, an integer; 0: a limit that home.h states. Throws TypeError
     * for another type or a zero byte, and HomeError with a status that home.h lists under home_model_load(). Any
     * thread.
     */
    static load(path, {frozen = false, memoryLimit = 0} = {}) {
        if (typeof path !== 'string' || path.includes('\0'))
            throw new TypeError(`the path ${JSON.stringify(path)} is not a string without zero bytes`);
        // A home_load_options: struct_size, allocator, isa, memory_limit, and two int32_t, frozen and reserved.
        const options = struct([40, 0, 0, size('memoryLimit', memoryLimit), 0]);
        new Int32Array(options.buffer, 32, 1)[0] = frozen ? 1 : 2;
        return Model.#made((model, error) => c.load(path, options, model, error));
    }

    /**
     * A read-only copy for serving, which lives on its own. Throws HomeError: HOME_E_STATE for a frozen model,
     * HOME_E_MEMORY.
     */
    freeze() {
        return Model.#made((model, error) => c.freeze(this.#open(), model, error));
    }

    /**
     * Probabilities, tasks.length for each row.
     * dense: Float32Array, rows of denseWidth values, `stride` from one row to the next (default: they touch).
     * ids: by the fields' names, each a BigUint64Array with one id a row, or {ids, offsets, weights}. With offsets, an
     * array or typed array of integers, row r has ids[offsets[r]] .. ids[offsets[r + 1] - 1]; weights, a Float32Array,
     * are one for each of ids.
     * Arrays may be views of any part of any buffer. Throws TypeError for another type of array, RangeError where
     * lengths or offsets do not fit, HomeError: HOME_E_VALUE where an id is out of range or offsets fall,
     * HOME_E_MEMORY; and Error if the model is closed.
     */
    predict(batch) {
        return this.#now(batch, false).predictions;
    }

    /** {predictions, logits}: the same with the towers' outputs, before the sigmoid. */
    predictLogits(batch) {
        return this.#now(batch, true);
    }

    /**
     * The same on another thread; what predict() throws rejects the promise. Input is copied first; the model may be
     * closed meanwhile.
     */
    async predictAsync(batch) {
        return (await this.#later(batch, false)).predictions;
    }

    /** predictLogits() on another thread. */
    async predictLogitsAsync(batch) {
        return this.#later(batch, true);
    }

    #now(batch, wantsLogits) {
        const rows = this.#rows(batch, wantsLogits);
        const {predictions, logits} = rows;
        const error = newError();
        const status = c.predict_logits(this.#open(), rows.batch, predictions, 0, logits, 0, null, error);
        rows.memory.length = 0; // until here nothing but this keeps it from the garbage collector
        check(status, error);
        return {predictions, logits};
    }

    async #later(batch, wantsLogits) {
        const rows = this.#rows(batch, wantsLogits);
        const {predictions, logits} = rows;
        const error = newError();
        const handle = c.retain(this.#open());
        try {
            const status = await new Promise((resolve, reject) => {
                c.predict_logits.async(handle, rows.batch, predictions, 0, logits, 0, null, error,
                                       (failure, result) => failure ? reject(failure) : resolve(result));
            });
            check(status, error);
            return {predictions, logits};
        } finally {
            rows.memory.length = 0; // as in #now()
            c.release(handle);
        }
    }

    /**
     * A token to post to another thread, which must take the model from it with Model.from(), once. A token that nobody
     * takes keeps the model's memory.
     */
    share() {
        const token = new BigUint64Array(new SharedArrayBuffer(8));
        token[0] = BigInt(c.retain(this.#open()));
        return token;
    }

    /** The model of a token that share() made, and of no other number. Throws Error where it was taken already. */
    static from(token) {
        const handle = Atomics.exchange(token, 0, 0n);
        if (handle === 0n)
            throw new Error('the shared model was already taken');
        return new Model(handle);
    }

    /** Frees the model; calls that come later throw. */
    close() {
        if (this.#handle === null)
            return;
        forgotten.unregister(this);
        c.release(this.#handle);
        this.#handle = null;
    }

    static #made(make) {
        const model = new BigUint64Array(1);
        const error = newError();
        check(make(model, error), error);
        return new Model(model[0]);
    }

    #open() {
        if (this.#handle === null)
            throw new Error('the model is closed');
        return this.#handle;
    }

    // Copies of the input, checked: C trusts the lengths behind its pointers, and JavaScript may change or transfer
    // an array while another thread reads it.
    #rows({dense = new Float32Array(), stride = this.denseWidth, ids = {}}, wantsLogits) {
        this.#open();
        const names = Object.keys(ids);
        if (names.length !== this.fields.length || !this.fields.every((name) => Object.hasOwn(ids, name)))
            throw new RangeError(`ids are given for [${names}], the model's fields are [${this.fields}]`);
        const values = copied(Float32Array, dense, 'dense');
        const memory = this.fields.map((name) => fieldMemory(`field "${name}"`, ids[name]));
        const rows = this.denseWidth > 0 ? rowCount(values.length, stride, this.denseWidth) : memory[0].rows;
        this.fields.forEach((name, f) => {
            if (memory[f].rows !== rows || !(memory[f].idsRead <= memory[f].ids.length))
                throw new RangeError(`the ids of field "${name}" do not fit ${rows} rows`);
        });
        const fields = new BigUint64Array(memory.flatMap(fieldStruct));
        // A home_batch: struct_size, rows, dense, dense_stride, fields, field_count.
        const batch = struct([48, rows, koffi.address(values), stride, koffi.address(fields), this.fields.length]);
        return {
            batch,
            predictions: new Float32Array(rows * this.tasks.length),
            logits: wantsLogits ? new Float32Array(rows * this.tasks.length) : null,
            memory: [values, fields, memory], // what the batch points to
        };
    }
}

/** A struct of C whose fields are all as long as a pointer. */
function struct(values) {
    return BigUint64Array.from(values, BigInt);
}

function addressOf(array) {
    return array === null ? 0n : koffi.address(array);
}

// A home_ids: struct_size, ids, offsets, count, weights.
function fieldStruct({ids, offsets, idsRead, weights}) {
    return [40n, koffi.address(ids), addressOf(offsets), BigInt(idsRead), addressOf(weights)];
}

function size(name, value) {
    if (!Number.isSafeInteger(value) || value < 0)
        throw new RangeError(`${name} is ${value}, expected an integer from 0`);
    return value;
}

function rowCount(length, stride, width) {
    if (!Number.isSafeInteger(stride) || stride < width || (length % stride !== 0 && length % stride !== width))
        throw new RangeError(`${length} dense values with stride ${stride} are not rows of ${width}`);
    return Math.ceil(length / stride);
}

function copied(type, values, name) {
    if (Object.prototype.toString.call(values) !== `[object ${type.name}]`)
        throw new TypeError(`${name} is ${typeof values}, expected a ${type.name}`);
    return new type(values);
}

// An id field as the arrays of a home_ids; `offsets` null where each row has one id.
function fieldMemory(name, field) {
    if (!field?.ids) {
        const ids = copied(BigUint64Array, field, name);
        return {ids, offsets: null, rows: ids.length, idsRead: ids.length, weights: null};
    }
    const ids = copied(BigUint64Array, field.ids, name);
    const weights = field.weights ? copied(Float32Array, field.weights, `weights of ${name}`) : null;
    if (weights && weights.length !== ids.length)
        throw new RangeError(`${weights.length} weights of ${name}, which has ${ids.length} ids`);
    if (!field.offsets)
        return {ids, offsets: null, rows: ids.length, idsRead: ids.length, weights};
    const exact = Array.from(field.offsets, BigInt); // of 64 bits at last, where larger ones would wrap around
    const wrong = exact.find((offset) => offset < 0n || offset > ids.length);
    if (wrong !== undefined)
        throw new RangeError(`an offset of ${name} is ${wrong}, of ${ids.length} ids`);
    const offsets = BigUint64Array.from(exact);
    return {ids, offsets, rows: offsets.length - 1, idsRead: Number(offsets.at(-1)), weights};
}

/** In place of a user: the row belongs to nobody. */
export const NO_USER = 2n ** 64n - 1n;

const forgottenMetrics = new FinalizationRegistry((handle) => c.metrics_destroy(handle));

/** How good predictions are, over any number of batches. Stays in its thread; bytes() go to other ones and machines. */
export class Metrics {
    #handle;

    /**
     * Empty, for so many binary tasks. maxBytes: the most memory, with errors that the figures state; 0: all rows are
     * kept. Throws HomeError: HOME_E_ARGUMENT, HOME_E_MEMORY.
     */
    constructor(tasks, maxBytes = 0) {
        this.tasks = size('tasks', tasks);
        Object.freeze(this); // memory for C has this length
        const metrics = new BigUint64Array(1);
        const error = newError();
        // A home_metrics_options: struct_size, tasks, losses, max_bytes, allocator.
        check(c.metrics_create(struct([40, tasks, 0, size('maxBytes', maxBytes), 0]), metrics, error), error);
        this.#handle = metrics[0];
        forgottenMetrics.register(this, this.#handle, this);
    }

    /**
     * Counts rows: predictions and labels, Float32Arrays with a value for each row and task, a label NaN where missing;
     * users, a BigUint64Array with one a row, NO_USER for none; rowWeights and weights, Float32Arrays with one a row,
     * and for each row and task. Throws TypeError, RangeError where lengths do not fit, HomeError: HOME_E_VALUE for a
     * value that is not allowed, HOME_E_MEMORY.
     */
    add({predictions, labels, users = null, rowWeights = null, weights = null}) {
        const given = {labels: copied(Float32Array, labels, 'labels')};
        const values = given.labels.length;
        const rows = values / this.tasks;
        const expect = (name, type, array, length) => {
            given[name] = array === null ? null : copied(type, array, name);
            if (given[name] !== null && given[name].length !== length || !Number.isInteger(rows))
                throw new RangeError(`${given[name]?.length} ${name} for ${values} labels of ${this.tasks} tasks`);
        };
        expect('predictions', Float32Array, predictions, values);
        expect('users', BigUint64Array, users, rows);
        expect('rowWeights', Float32Array, rowWeights, rows);
        expect('weights', Float32Array, weights, values);
        const error = newError();
        // A home_metrics_rows: struct_size, rows, predictions, their stride, labels, their stride, users, row_weights,
        // weights, their stride.
        const status = c.metrics_add(this.#open(), struct([
            80, rows, koffi.address(given.predictions), 0, koffi.address(given.labels), 0, addressOf(given.users),
            addressOf(given.rowWeights), addressOf(given.weights), 0]), error);
        Object.keys(given).forEach((name) => { given[name] = null; }); // which kept it until here
        check(status, error);
    }

    /** Forgets all rows. */
    reset() {
        c.metrics_reset(this.#open());
    }

    /** Adds all that another one holds. Throws HomeError: HOME_E_ARGUMENT, HOME_E_MEMORY. */
    merge(other) {
        const error = newError();
        check(c.metrics_merge(this.#open(), other.#open(), error), error);
    }

    /** All it holds, a Uint8Array for mergeBytes(). */
    bytes() {
        const length = new BigUint64Array(1);
        const error = newError();
        check(c.metrics_serialize(this.#open(), null, 0, length, error), error);
        const bytes = new Uint8Array(Number(length[0]));
        check(c.metrics_serialize(this.#open(), bytes, bytes.length, length, error), error);
        return bytes;
    }

    /** Adds what bytes() has made. Throws HomeError; home.h has the statuses under home_metrics_merge_bytes(). */
    mergeBytes(bytes) {
        const copy = copied(Uint8Array, bytes, 'bytes');
        const error = newError();
        check(c.metrics_merge_bytes(this.#open(), copy, copy.length, error), error);
    }

    /** The figures of a task, which home.h explains under home_metric_result; NaN: not defined. */
    result(task) {
        const result = struct([144, ...new Array(17).fill(0)]);
        const error = newError();
        check(c.metrics_result(this.#open(), size('task', task), result, error), error);
        const numbers = new Float64Array(result.buffer);
        const [rows, noUserRows, positives, gaucUsers, gaucRows] = [1, 2, 3, 14, 15].map((i) => Number(result[i]));
        const [weight, meanPrediction, meanLabel, calibration, logLoss, auc, aucError, gauc, gaucError, gaucShare] =
            numbers.subarray(4, 14);
        return {rows, noUserRows, positives, weight, meanPrediction, meanLabel, calibration, logLoss, auc, aucError,
                gauc, gaucError, gaucShare, gaucUsers, gaucRows, rmse: numbers[16], mae: numbers[17]};
    }

    /** Frees it; calls that come later throw. */
    close() {
        if (this.#handle === null)
            return;
        forgottenMetrics.unregister(this);
        c.metrics_destroy(this.#handle);
        this.#handle = null;
    }

    #open() {
        if (this.#handle === null)
            throw new Error('the metrics are closed');
        return this.#handle;
    }
}
