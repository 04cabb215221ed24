package home;

import java.lang.ref.Cleaner;
import java.util.Objects;

/**
 * How good predictions are, over any number of batches. Any number of threads may use one; one at a time is inside. It
 * is freed with the garbage, or by close(), after which calls throw IllegalStateException.
 */
public final class Metrics implements AutoCloseable {
    static {
        System.loadLibrary("home_jni");
    }

    /** In place of a user: the row belongs to nobody. */
    public static final long NO_USER = -1; // 2^64 - 1

    private final int tasks;
    private final Cleaner.Cleanable cleanable;
    private long handle; // a home_metrics *, 0 once closed

    /** Empty, for so many binary tasks; all rows are kept. */
    public Metrics(int tasks) {
        this(tasks, 0);
    }

    /**
     * Empty.
     *
     * @param maxBytes the most memory that it may take, with errors that the figures state; 0: all rows are kept
     * @throws HomeException HOME_E_ARGUMENT, HOME_E_MEMORY
     */
    public Metrics(int tasks, long maxBytes) {
        if (tasks < 1 || maxBytes < 0)
            throw new IllegalArgumentException(tasks + " tasks and " + maxBytes + " bytes, expected at least 1 and 0");
        this.tasks = tasks;
        long made = create(tasks, maxBytes);
        handle = made;
        cleanable = Model.CLEANER.register(this, () -> destroy(made));
    }

    /**
     * Rows: for each row and task a prediction and a label, which is NaN where it is missing.
     *
     * @param users      one a row, NO_USER for none; or null: no row has a user
     * @param rowWeights one a row; or null: all 1
     * @param weights    one for each row and task; or null: all 1
     */
    public record Rows(float[] predictions, float[] labels, long[] users, float[] rowWeights, float[] weights) {
        public Rows {
            Objects.requireNonNull(predictions, "predictions");
            Objects.requireNonNull(labels, "labels");
        }
    }

    /** The figures of a task, which home.h explains under home_metric_result; NaN: not defined. */
    public record Result(long rows, long noUserRows, long positives, double weight, double meanPrediction,
                         double meanLabel, double calibration, double logLoss, double auc, double aucError, double gauc,
                         double gaucError, double gaucShare, long gaucUsers, long gaucRows, double rmse, double mae) {
    }

    /**
     * Counts rows.
     *
     * @throws IllegalArgumentException where lengths do not fit
     * @throws HomeException HOME_E_VALUE for a label, prediction or weight that is not allowed, HOME_E_MEMORY; it then
     *     holds what it held
     */
    public synchronized void add(Rows rows) {
        int values = rows.labels().length;
        int count = values / tasks;
        if (count * tasks != values || rows.predictions().length != values
            || rows.users() != null && rows.users().length != count
            || rows.rowWeights() != null && rows.rowWeights().length != count
            || rows.weights() != null && rows.weights().length != values)
            throw new IllegalArgumentException("lengths that do not fit " + values + " labels of " + tasks + " tasks");
        add(open(), count, rows.predictions(), rows.labels(), rows.users(), rows.rowWeights(), rows.weights());
    }

    /** Forgets all rows. */
    public synchronized void reset() {
        reset(open());
    }

    /** All it holds, for mergeBytes() on any machine. */
    public synchronized byte[] bytes() {
        return serialize(open());
    }

    /**
     * Adds what bytes() has made of another one.
     *
     * @throws HomeException with a status that home.h lists under home_metrics_merge_bytes()
     */
    public synchronized void mergeBytes(byte[] bytes) {
        mergeBytes(open(), Objects.requireNonNull(bytes, "bytes"));
    }

    /**
     * The figures of a task.
     *
     * @throws HomeException HOME_E_NOT_FOUND, HOME_E_MEMORY
     */
    public synchronized Result result(int task) {
        double[] d = result(open(), task);
        return new Result((long) d[0], (long) d[1], (long) d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10],
            d[11], d[12], (long) d[13], (long) d[14], d[15], d[16]);
    }

    /** Frees it. May be called again. */
    @Override
    public synchronized void close() {
        handle = 0;
        cleanable.clean(); // the first time only
    }

    private long open() {
        if (handle == 0)
            throw new IllegalStateException("the metrics are closed");
        return handle;
    }

    // home_jni.c
    private static native long create(int tasks, long maxBytes);

    private static native void destroy(long metrics);

    private static native void reset(long metrics);

    private static native void add(long metrics, int rows, float[] predictions, float[] labels, long[] users,
                                   float[] rowWeights, float[] weights);

    private static native byte[] serialize(long metrics);

    private static native void mergeBytes(long metrics, byte[] bytes);

    private static native double[] result(long metrics, int task);
}
