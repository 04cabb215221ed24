// libhome for Node.js, by the FFI package koffi; serving only.
//
//     const model = Model.load('model.safetensors').freeze();
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
//   making      home_model_create, home_model_create_json, home_model_load_memory, home_model_destroy
//   training    home_model_forward, home_model_backward, home_model_backward_from, home_model_step,
//               home_model_task_gradient, home_model_gradients, home_model_table_gradient, home_model_input_gradient,
//               home_model_unit_gradient_norm, home_model_gradient_norm, home_model_step_count,
//               home_model_set_learning_rate, home_model_set_embedding_learning_rate
//   serving     home_workspace_size, home_workspace_init, home_image_write, home_image_model_size, home_image_open,
//               home_model_set_parallel, home_model_set_threads
//   files       home_model_save, home_model_serialize, home_model_load_weights, home_model_set_metadata,
//               home_model_metadata
//   a look      home_model_config_json, home_model_topology_json, home_model_isa, home_model_is_frozen,
//               home_model_parameter_count, home_model_macs_per_row, home_model_tensor_count, home_model_tensor_at,
//               home_model_tensor, home_model_set_tensor
//   figures     home_metrics_*, home_health_*
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
const c = Object.fromEntries([
    'int32_t home_model_load(const char *path, void *allocator, void *model, void *error)',
    'int32_t home_model_freeze(home_model *model, void *frozen, void *error)',
    'home_model *home_model_retain(home_model *model)',
    'void home_model_release(home_model *model)',
    'int32_t home_model_predict(home_model *model, void *batch, void *predictions, size_t stride, ' +
        'void *workspace, void *error)',
    'size_t home_model_dense_width(home_model *model)',
    'size_t home_model_field_count(home_model *model)',
    'const char *home_model_field_name(home_model *model, size_t field)',
    'size_t home_model_task_count(home_model *model)',
    'const char *home_model_task_name(home_model *model, size_t task)',
].map((declaration) => [/home_model_(\w+)\(/.exec(declaration)[1], library.func(declaration)]));

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
     * A model from the checkpoint at `path`, a string. Throws TypeError for another type or a zero byte, and HomeError
     * with a status that home.h lists under home_model_load(). Any thread.
     */
    static load(path) {
        if (typeof path !== 'string' || path.includes('\0'))
            throw new TypeError(`the path ${JSON.stringify(path)} is not a string without zero bytes`);
        return Model.#made((model, error) => c.load(path, null, model, error));
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
     * ids: by the fields' names, each a BigUint64Array with one id a row, or {ids, offsets}, where row r has
     * ids[offsets[r]] .. ids[offsets[r + 1] - 1]; offsets are an array or typed array of integers.
     * Arrays may be views of any part of any buffer. Throws TypeError for another type of array, RangeError where
     * lengths or offsets do not fit, HomeError: HOME_E_VALUE where an id is out of range or offsets fall,
     * HOME_E_MEMORY; and Error if the model is closed.
     */
    predict(batch) {
        const rows = this.#rows(batch);
        const error = newError();
        const status = c.predict(this.#open(), rows.batch, rows.predictions, 0, null, error);
        rows.memory.length = 0; // until here nothing but this keeps it from the garbage collector
        check(status, error);
        return rows.predictions;
    }

    /**
     * The same on another thread; what predict() throws rejects the promise. Input is copied first; the model may be
     * closed meanwhile.
     */
    async predictAsync(batch) {
        const rows = this.#rows(batch);
        const error = newError();
        const handle = c.retain(this.#open());
        try {
            const status = await new Promise((resolve, reject) => {
                c.predict.async(handle, rows.batch, rows.predictions, 0, null, error,
                                (failure, result) => failure ? reject(failure) : resolve(result));
            });
            check(status, error);
            return rows.predictions;
        } finally {
            rows.memory.length = 0; // as in predict()
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
    #rows({dense = new Float32Array(), stride = this.denseWidth, ids = {}}) {
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
        const fields = new BigUint64Array(memory.flatMap(
            ({ids, offsets}) => [koffi.address(ids), offsets === null ? 0n : koffi.address(offsets)]));
        // A home_batch: struct_size, rows, dense, dense_stride, fields, field_count.
        const batch = new BigUint64Array(6);
        batch.set([batch.byteLength, rows, koffi.address(values), stride, koffi.address(fields), this.fields.length]
            .map(BigInt));
        return {
            batch,
            predictions: new Float32Array(rows * this.tasks.length),
            memory: [values, fields, memory], // what the batch points to
        };
    }
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

// An id field as the two arrays of a home_ids; `offsets` null where each row has one id.
function fieldMemory(name, field) {
    if (!field?.offsets) {
        const ids = copied(BigUint64Array, field, name);
        return {ids, offsets: null, rows: ids.length, idsRead: ids.length};
    }
    const ids = copied(BigUint64Array, field.ids, name);
    const exact = Array.from(field.offsets, BigInt); // of 64 bits at last, where larger ones would wrap around
    const wrong = exact.find((offset) => offset < 0n || offset > ids.length);
    if (wrong !== undefined)
        throw new RangeError(`an offset of ${name} is ${wrong}, of ${ids.length} ids`);
    const offsets = BigUint64Array.from(exact);
    return {ids, offsets, rows: offsets.length - 1, idsRead: offsets.at(-1)};
}
