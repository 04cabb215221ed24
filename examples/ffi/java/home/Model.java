package home;

import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.IntFunction;
import java.util.function.LongFunction;

/**
 * libhome for Java, by JNI; serving only.
 *
 * <pre>
 * try (Model model = Model.loadFrozen(path)) {
 *     float[] probabilities = model.predict(new Batch(rows, dense));
 * }
 * </pre>
 *
 * Any number of threads may use one model: predict() and freeze() run at the same time, setThreads() and close()
 * wait until they have the model for themselves. A model that is forgotten is freed with the garbage; one that is
 * closed throws IllegalStateException. What the library refuses is a HomeException.
 *
 * <p>Not wrapped, of home.h:
 *
 * <ul>
 * <li>making: home_model_create, home_model_create_json, home_config_check, home_config_check_json,
 * home_model_load_memory, home_model_retain
 * <li>predicting from structs: home_model_predict, home_model_predict_logits; here it is done by
 * home_model_predict_flat
 * <li>training: home_model_forward, home_model_forward_flat, home_model_logits, home_model_backward,
 * home_model_backward_from, home_model_step, home_model_task_gradient, home_model_gradient,
 * home_model_table_gradient, home_model_input_gradient, home_model_set_gradient, home_model_set_table_gradient,
 * home_model_unit_gradient_norm, home_model_gradient_norm, home_model_step_count, home_model_set_learning_rate,
 * home_model_set_embedding_learning_rate, home_model_set_task_weight, home_model_set_norm_momentum,
 * home_model_set_trained, home_model_learning_rate, home_model_embedding_learning_rate, home_model_task_weight,
 * home_model_norm_momentum
 * <li>serving: home_workspace_size, home_workspace_init, home_workspace_fits, home_image_write,
 * home_image_model_size, home_image_open, home_model_set_parallel, home_model_block_rows
 * <li>files: home_model_save, home_model_serialize, home_model_load_weights, home_model_set_metadata,
 * home_model_metadata, home_checkpoint_*
 * <li>a look inside: home_model_config_json, home_model_topology_json, home_model_isa, home_model_is_frozen,
 * home_model_parameter_count, home_model_macs_per_row, home_model_bytes, home_model_check_names,
 * home_model_dense_name, home_model_field_count, home_model_task_count (the lists tell), home_model_field_index,
 * home_model_task_index, home_model_table_count, home_model_table_name, home_model_table_index,
 * home_model_layer_count, home_model_unit_count, home_model_unit_name, home_model_unit_index,
 * home_model_tensor_count, home_model_tensor_at, home_model_tensor, home_model_set_tensor
 * <li>figures: home_metrics_merge, home_health_*
 * <li>the rest: home_version, home_version_string, home_status_string, home_hash_id
 * </ul>
 */
public final class Model implements AutoCloseable {
    static {
        System.loadLibrary("home_jni");
    }

    static final Cleaner CLEANER = Cleaner.create();

    private final ReadWriteLock lock = new ReentrantReadWriteLock();
    private final Cleaner.Cleanable cleanable;
    private long handle; // a home_model *, 0 once closed
    private final int denseWidth;
    private final List<String> fields;
    private final List<String> tasks;

    private Model(long handle) {
        this.handle = handle;
        cleanable = CLEANER.register(this, () -> release(handle));
        denseWidth = denseWidth(handle);
        fields = names(field -> fieldName(handle, field));
        tasks = names(task -> taskName(handle, task));
    }

    /**
     * Makes a model from a checkpoint. Any thread.
     *
     * @throws HomeException with a status that home.h lists under home_model_load()
     */
    public static Model load(Path path) {
        return load(path, false, 0);
    }

    /** Makes a frozen model straight from a checkpoint, in less time and memory than load() and freeze(). */
    public static Model loadFrozen(Path path) {
        return load(path, true, 0);
    }

    /**
     * Makes either, of at most so many bytes.
     *
     * @param memoryLimit 0: a limit that home.h states
     */
    public static Model load(Path path, boolean frozen, long memoryLimit) {
        return new Model(load((path + "\0").getBytes(StandardCharsets.UTF_8), frozen, memoryLimit));
    }

    /**
     * Makes a read-only copy for serving, which lives on its own. Any number of threads.
     *
     * @throws HomeException HOME_E_STATE for a frozen model, HOME_E_MEMORY
     * @throws IllegalStateException if closed
     */
    public Model freeze() {
        return new Model(with(lock.readLock(), Model::freeze));
    }

    /**
     * Returns probabilities, tasks().size() for each row. Any number of threads.
     *
     * @throws IllegalArgumentException where lengths or offsets do not fit
     * @throws HomeException HOME_E_VALUE where an id is out of range, HOME_E_MEMORY
     * @throws IllegalStateException if closed
     */
    public float[] predict(Batch batch) {
        float[] predictions = results(batch);
        predict(batch, predictions, null);
        return predictions;
    }

    /** Predictions and the logits that they come from: the towers' outputs, before the sigmoid. */
    public record Scores(float[] predictions, float[] logits) {
    }

    /** The same with the logits. */
    public Scores predictLogits(Batch batch) {
        Scores scores = new Scores(results(batch), results(batch));
        predict(batch, scores.predictions(), scores.logits());
        return scores;
    }

    private float[] results(Batch batch) {
        checkDense(batch);
        return new float[Math.multiplyExact(batch.rows(), tasks.size())];
    }

    private void predict(Batch batch, float[] predictions, float[] logits) {
        long[] offsets = offsets(batch);
        long[] ids = ids(batch);
        float[] weights = weights(batch, ids.length);
        with(lock.readLock(), model -> {
            predict(model, batch.rows(), batch.dense(), batch.stride(), ids, offsets, weights, predictions, logits);
            return 0;
        });
    }

    /**
     * Lets each call use that many threads of the model's own, 1 to 1024; results do not change. Waits until it has
     * the model for itself.
     *
     * @throws IllegalArgumentException below 1
     * @throws HomeException HOME_E_ARGUMENT above 1024, HOME_E_MEMORY
     * @throws IllegalStateException if closed
     */
    public void setThreads(int threads) {
        if (threads < 1)
            throw new IllegalArgumentException(threads + " threads, expected 1 to 1024");
        with(lock.writeLock(), model -> {
            setThreads(model, threads);
            return 0;
        });
    }

    /** How many dense values a row has. */
    public int denseWidth() {
        return denseWidth;
    }

    /** The names of the id fields, in the order of a batch. */
    public List<String> fields() {
        return fields;
    }

    /** The names of what is predicted, in the order of predictions. */
    public List<String> tasks() {
        return tasks;
    }

    /** Frees the model once no thread uses it. May be called again. */
    @Override
    public void close() {
        lock.writeLock().lock();
        try {
            handle = 0;
            cleanable.clean(); // the first time only
        } finally {
            lock.writeLock().unlock();
        }
    }

    /** Calls a function with the handle, which stays valid meanwhile. */
    private long with(Lock held, LongFunction<Number> function) {
        held.lock();
        try {
            if (handle == 0)
                throw new IllegalStateException("the model is closed");
            return function.apply(handle).longValue();
        } finally {
            held.unlock();
            Reference.reachabilityFence(this);
        }
    }

    // C trusts the lengths behind its pointers; they are checked here, those of ids on copies that nobody else has.

    private void checkDense(Batch batch) {
        long stride = batch.stride() == 0 ? denseWidth : batch.stride();
        long needed = batch.rows() == 0 || denseWidth == 0 ? 0 : (batch.rows() - 1) * stride + denseWidth;
        if (batch.rows() < 0 || stride < denseWidth || batch.dense().length < needed)
            throw new IllegalArgumentException(batch.dense().length + " dense values with stride " + batch.stride()
                + " are not " + batch.rows() + " rows of " + denseWidth);
    }

    /** Offsets of all fields, rows of each and one more, into the array that has all their ids. */
    private long[] offsets(Batch batch) {
        if (batch.fields().size() != fields.size())
            throw new IllegalArgumentException("ids of " + batch.fields().size() + " fields, expected " + fields);
        for (int f = 0; f < fields.size(); f++) {
            Batch.Ids field = batch.fields().get(f);
            int rows = field.offsets() == null ? field.ids().length : field.offsets().length - 1;
            if (rows != batch.rows())
                throw new IllegalArgumentException("field \"" + fields.get(f) + "\": ids of " + rows
                    + " rows, expected " + batch.rows());
            if (field.weights() != null && field.weights().length != field.ids().length)
                throw new IllegalArgumentException("field \"" + fields.get(f) + "\": " + field.weights().length
                    + " weights for " + field.ids().length + " ids");
            checkOffsets(fields.get(f), field);
        }
        long[] offsets = new long[Math.addExact(Math.multiplyExact(fields.size(), batch.rows()), 1)];
        int at = 0;
        for (Batch.Ids field : batch.fields()) {
            long before = offsets[at] - begin(field);
            for (int r = 1; r <= batch.rows(); r++)
                offsets[++at] = before + (field.offsets() == null ? r : field.offsets()[r]);
        }
        return offsets;
    }

    private static void checkOffsets(String name, Batch.Ids field) {
        int last = 0;
        int[] offsets = field.offsets() == null ? new int[0] : field.offsets();
        for (int r = 0; r < offsets.length; r++) {
            if (offsets[r] < last || offsets[r] > field.ids().length)
                throw new IllegalArgumentException("field \"" + name + "\": offset " + offsets[r] + " of row " + r
                    + " is below the one before, or above " + field.ids().length);
            last = offsets[r];
        }
    }

    private static int begin(Batch.Ids field) {
        return field.offsets() == null ? 0 : field.offsets()[0];
    }

    private static int end(Batch.Ids field) {
        return field.offsets() == null ? field.ids().length : field.offsets()[field.offsets().length - 1];
    }

    private static long[] ids(Batch batch) {
        int count = batch.fields().stream().mapToInt(field -> end(field) - begin(field)).reduce(0, Math::addExact);
        long[] ids = new long[count];
        int at = 0;
        for (Batch.Ids field : batch.fields()) {
            int length = end(field) - begin(field);
            System.arraycopy(field.ids(), begin(field), ids, at, length);
            at += length;
        }
        return ids;
    }

    /** Of all ids, 1 where a field has none; null if no field has any. */
    private static float[] weights(Batch batch, int count) {
        if (batch.fields().stream().allMatch(field -> field.weights() == null))
            return null;
        float[] weights = new float[count];
        int at = 0;
        for (Batch.Ids field : batch.fields())
            for (int i = begin(field); i < end(field); i++)
                weights[at++] = field.weights() == null ? 1 : field.weights()[i];
        return weights;
    }

    private static List<String> names(IntFunction<byte[]> nameAt) {
        List<String> names = new ArrayList<>();
        for (byte[] name = nameAt.apply(0); name != null; name = nameAt.apply(names.size()))
            names.add(new String(name, StandardCharsets.UTF_8));
        return List.copyOf(names);
    }

    // home_jni.c
    private static native long load(byte[] path, boolean frozen, long memoryLimit);

    private static native long freeze(long model);

    private static native void release(long model);

    private static native void predict(long model, int rows, float[] dense, int stride, long[] ids, long[] offsets,
                                       float[] weights, float[] predictions, float[] logits);

    private static native void setThreads(long model, int threads);

    private static native int denseWidth(long model);

    private static native byte[] fieldName(long model, int field);

    private static native byte[] taskName(long model, int task);
}
