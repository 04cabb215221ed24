import home.Batch;
import home.HomeException;
import home.Metrics;
import home.Model;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.UnaryOperator;

/** Tests of home.Model. Usage: java ModelTest MODEL, a checkpoint of ../ids.json. */
public final class ModelTest {
    private final Path path;
    private final Model model;
    private final Batch batch;
    private final float[] expected;

    private ModelTest(Path path) {
        this.path = path;
        model = Model.load(path);
        batch = Rows.make(model, 0, Rows.COUNT);
        expected = model.predict(batch);
    }

    private static void check(boolean holds, String what) {
        if (!holds)
            throw new AssertionError(what);
    }

    private static <E extends Exception> E thrown(Class<E> type, Callable<?> call) {
        try {
            call.call();
        } catch (Exception exception) {
            if (type.isInstance(exception))
                return type.cast(exception);
            throw new AssertionError("another exception than " + type, exception);
        }
        throw new AssertionError("no exception");
    }

    private void checkSame(float[] predictions, String what) {
        check(Arrays.equals(predictions, expected), what);
    }

    private void names() {
        check(model.denseWidth() == 3, "dense width");
        check(model.fields().equals(List.of("user", "liked", "watched")), "fields");
        check(model.tasks().equals(List.of("like", "follow", "finish")), "tasks");
    }

    private void errorsCarryTheLibrarysMessage() {
        HomeException error = thrown(HomeException.class, () -> Model.load(Path.of("/nowhere/m\u00f6del")));
        check(error.status() == 30 && error.getMessage().contains("/nowhere/m\u00f6del"), error.getMessage());
        error = thrown(HomeException.class, () -> setThreads(1025));
        check(error.status() == 1, error.getMessage());
        IllegalArgumentException negative = thrown(IllegalArgumentException.class, () -> setThreads(-1));
        check(negative.getMessage().contains("-1 threads"), negative.getMessage());
        thrown(InvalidPathException.class, () -> Model.load(Path.of("nul\0x")));
        model.setThreads(2);
        checkSame(model.predict(batch), "two threads inside");
    }

    private Void setThreads(int threads) {
        model.setThreads(threads);
        return null;
    }

    private void strides() {
        int width = model.denseWidth();
        float[] wide = new float[batch.rows() * (width + 2) - 2];
        Arrays.fill(wide, Float.NaN);
        for (int r = 0; r < batch.rows(); r++)
            System.arraycopy(batch.dense(), r * width, wide, r * (width + 2), width);
        checkSame(model.predict(new Batch(batch.rows(), wide, width + 2, batch.fields())), "a stride");
    }

    private void wrongLengthsNeverReachC() {
        int rows = batch.rows();
        float[] dense = batch.dense();
        Batch.Ids user = batch.fields().get(0);
        Batch.Ids liked = batch.fields().get(1);
        Batch.Ids watched = batch.fields().get(2);
        UnaryOperator<long[]> shorter = ids -> Arrays.copyOf(ids, ids.length - 1);
        int[] descending = liked.offsets().clone();
        descending[5] = 1;
        int[] negative = liked.offsets().clone();
        negative[0] = -1;
        for (Batch wrong : List.of(
            new Batch(rows + 1, dense, batch.fields()),
            new Batch(-1, dense, batch.fields()),
            new Batch(Integer.MAX_VALUE, dense, batch.fields()),
            new Batch(rows, new float[0], batch.fields()),
            new Batch(rows, dense, 2, batch.fields()),
            new Batch(rows, dense, -3, batch.fields()),
            new Batch(rows, dense, Integer.MAX_VALUE, batch.fields()),
            new Batch(rows, dense),
            new Batch(rows, dense, List.of(new Batch.Ids(shorter.apply(user.ids())), liked, watched)),
            new Batch(rows, dense, List.of(user, new Batch.Ids(shorter.apply(liked.ids()), liked.offsets()), watched)),
            new Batch(rows, dense, List.of(user, new Batch.Ids(liked.ids(), new int[0]), watched)),
            new Batch(rows, dense, List.of(user, new Batch.Ids(liked.ids(), descending), watched)),
            new Batch(rows, dense, List.of(user, new Batch.Ids(liked.ids(), negative), watched))))
            thrown(IllegalArgumentException.class, () -> model.predict(wrong));
        Batch wrong = new Batch(rows, dense, List.of(user, new Batch.Ids(liked.ids(), negative), watched));
        String message = thrown(IllegalArgumentException.class, () -> model.predict(wrong)).getMessage();
        check(message.startsWith("field \"liked\": offset -1 of row 0"), message);
    }

    /** Direct, sliced, read-only and foreign-endian buffers, of which only what remains counts. */
    private void buffers() {
        for (ByteOrder order : List.of(ByteOrder.BIG_ENDIAN, ByteOrder.LITTLE_ENDIAN))
            for (boolean direct : List.of(false, true)) {
                FloatBuffer dense = bytes(direct, batch.dense().length * 4, order).asFloatBuffer();
                dense.duplicate().put(batch.dense());
                List<Batch.Ids> fields = new ArrayList<>();
                for (Batch.Ids field : batch.fields()) {
                    LongBuffer ids = bytes(direct, field.ids().length * 8, order).asLongBuffer();
                    ids.duplicate().put(field.ids());
                    if (field.offsets() == null) {
                        fields.add(new Batch.Ids(ids.asReadOnlyBuffer()));
                        continue;
                    }
                    IntBuffer wide = IntBuffer.allocate(field.offsets().length + 9);
                    IntBuffer offsets = wide.position(7).slice().limit(field.offsets().length);
                    offsets.duplicate().put(field.offsets());
                    fields.add(new Batch.Ids(ids, offsets));
                }
                Batch other = new Batch(batch.rows(), dense.asReadOnlyBuffer(), 0, fields);
                checkSame(model.predict(other), order + " buffers");
                check(dense.position() == 0 && dense.remaining() == batch.dense().length, "the buffer stays as it was");
                FloatBuffer shorter = dense.duplicate().position(1);
                thrown(IllegalArgumentException.class,
                       () -> model.predict(new Batch(batch.rows(), shorter, 0, fields)));
            }
    }

    /** A slice that begins at an odd address of a larger buffer, whose other bytes make NaN. */
    private static ByteBuffer bytes(boolean direct, int size, ByteOrder order) {
        ByteBuffer large = direct ? ByteBuffer.allocateDirect(size + 20) : ByteBuffer.allocate(size + 20);
        while (large.hasRemaining())
            large.put((byte) -1);
        return large.position(3).limit(3 + size).slice().order(order);
    }

    private void weightsOfIds() {
        List<Batch.Ids> fields = new ArrayList<>(batch.fields());
        for (int f = 0; f < fields.size(); f++) {
            Batch.Ids field = fields.get(f);
            float[] ones = new float[field.ids().length];
            Arrays.fill(ones, 1);
            fields.set(f, new Batch.Ids(field.ids(), field.offsets(), ones));
            checkSame(model.predict(new Batch(batch.rows(), batch.dense(), fields)), "weights of 1"); // others: null
        }
        fields.get(2).weights()[0] = 3;
        Batch weighted = new Batch(batch.rows(), batch.dense(), fields);
        check(!Arrays.equals(model.predict(weighted), expected), "a weight of 3");
        fields.get(1).weights()[0] = -1; // of a mean
        HomeException error = thrown(HomeException.class, () -> model.predict(weighted));
        check(error.status() == 3, error.getMessage());
        Batch.Ids user = batch.fields().get(0);
        fields.set(0, new Batch.Ids(user.ids(), null, new float[63]));
        Batch wrong = new Batch(batch.rows(), batch.dense(), fields);
        String message = thrown(IllegalArgumentException.class, () -> model.predict(wrong)).getMessage();
        check(message.equals("field \"user\": 63 weights for 64 ids"), message);
    }

    /** Offsets need not begin at 0 nor end at the last id. */
    private void offsetsIntoMore() {
        Batch.Ids liked = batch.fields().get(1);
        long[] ids = new long[liked.ids().length + 3];
        System.arraycopy(liked.ids(), 0, ids, 2, liked.ids().length);
        int[] offsets = Arrays.stream(liked.offsets()).map(offset -> offset + 2).toArray();
        List<Batch.Ids> fields = List.of(batch.fields().get(0), new Batch.Ids(ids, offsets), batch.fields().get(2));
        checkSame(model.predict(new Batch(batch.rows(), batch.dense(), fields)), "offsets into more");
    }

    private void logits() {
        Model.Scores scores = model.predictLogits(batch);
        checkSame(scores.predictions(), "predictions beside logits");
        for (int i = 0; i < expected.length; i++)
            check(Math.abs(1 / (1 + Math.exp(-scores.logits()[i])) - expected[i]) < 1e-6, "logits");
    }

    private void loadsFrozenAndWithinLimits() {
        try (Model frozen = Model.loadFrozen(path); Model copy = model.freeze()) {
            check(Arrays.equals(frozen.predict(batch), copy.predict(batch)), "frozen at once");
            check(thrown(HomeException.class, frozen::freeze).status() == 2, "frozen twice");
        }
        check(thrown(HomeException.class, () -> Model.load(path, true, 1000)).status() == 11, "a limit");
    }

    private static void metrics() {
        float[] predictions = {0.1f, 0.4f, 0.35f, 0.8f};
        float[] labels = {0, 0, 1, 1};
        long[] users = {7, Metrics.NO_USER, 7, Metrics.NO_USER};
        Metrics.Rows rows = new Metrics.Rows(predictions, labels, users, new float[] {2, 1, 1, 1}, null);
        Metrics metrics = new Metrics(1);
        metrics.add(rows);
        Metrics.Result result = metrics.result(0);
        check(result.rows() == 4 && result.noUserRows() == 2 && result.gaucUsers() == 1 && result.weight() == 5,
              result.toString());
        byte[] bytes = metrics.bytes();
        metrics.mergeBytes(bytes);
        check(metrics.result(0).rows() == 8, "merged");
        check(thrown(HomeException.class, () -> metrics.result(1)).status() == 4, "no such task");
        thrown(HomeException.class, () -> merge(metrics, Arrays.copyOf(bytes, bytes.length - 1)));
        for (Metrics.Rows wrong : List.of(
            new Metrics.Rows(predictions, new float[3], null, null, null),
            new Metrics.Rows(predictions, labels, new long[3], null, null),
            new Metrics.Rows(predictions, labels, null, new float[5], null),
            new Metrics.Rows(predictions, labels, null, null, new float[3])))
            thrown(IllegalArgumentException.class, () -> add(metrics, wrong));
        metrics.reset();
        check(metrics.result(0).rows() == 0, "reset");
        metrics.close();
        metrics.close();
        thrown(IllegalStateException.class, () -> add(metrics, rows));
        thrown(HomeException.class, () -> new Metrics(1, 10));
    }

    private static Void merge(Metrics metrics, byte[] bytes) {
        metrics.mergeBytes(bytes);
        return null;
    }

    private static Void add(Metrics metrics, Metrics.Rows rows) {
        metrics.add(rows);
        return null;
    }

    private void nullIsNamed() {
        String message = thrown(NullPointerException.class, () -> new Batch(0, (float[]) null)).getMessage();
        check(message.equals("dense"), message);
        message = thrown(NullPointerException.class, () -> new Batch.Ids((long[]) null)).getMessage();
        check(message.equals("ids"), message);
    }

    private void theListOfFieldsIsCopied() {
        List<Batch.Ids> fields = new ArrayList<>(batch.fields());
        Batch other = new Batch(batch.rows(), batch.dense(), fields);
        fields.clear();
        checkSame(model.predict(other), "fields that changed");
    }

    private void aFrozenCopyOutlivesTheModel() {
        Model other = Model.load(path);
        try (Model frozen = other.freeze()) {
            other.close();
            float[] predictions = frozen.predict(batch);
            for (int i = 0; i < predictions.length; i++)
                check(Math.abs(predictions[i] - expected[i]) <= 1e-5, "frozen");
        }
    }

    private void aClosedModelRefuses() {
        Model other = Model.load(path);
        other.close();
        other.close();
        thrown(IllegalStateException.class, () -> other.predict(batch));
        thrown(IllegalStateException.class, other::freeze);
    }

    /** Models are closed or forgotten while threads predict with them and the garbage collector runs. */
    private void threads() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(4);
        List<Future<?>> calls = new ArrayList<>();
        for (int round = 0; round < 10; round++) {
            Model shared = Model.load(path);
            for (int i = 0; i < 4; i++)
                calls.add(threads.submit(() -> {
                    try {
                        for (int n = 0; n < 50; n++)
                            checkSame(shared.predict(batch), "in a thread");
                    } catch (IllegalStateException closed) {
                        check(closed.getMessage().contains("closed"), closed.getMessage());
                    }
                }));
            if (round % 2 == 0)
                shared.close();
            System.gc();
        }
        for (Future<?> call : calls)
            call.get();
        threads.shutdown();
    }

    /** 400 KB each, of which the garbage collector knows nothing: kept, they would be more than a gigabyte. */
    private void forgottenModelsAreFreed() throws Exception {
        long before = residentKilobytes();
        for (int i = 0; i < 3000; i++) {
            Model.load(path);
            if (i % 100 == 0)
                System.gc();
        }
        check(residentKilobytes() - before < 400_000, "memory is not flat");
    }

    private static long residentKilobytes() throws Exception {
        for (String line : java.nio.file.Files.readAllLines(Path.of("/proc/self/status")))
            if (line.startsWith("VmRSS:"))
                return Long.parseLong(line.replaceAll("[^0-9]", ""));
        return 0;
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 1) {
            System.err.println("usage: java ModelTest MODEL");
            System.exit(2);
        }
        ModelTest test = new ModelTest(Path.of(arguments[0]));
        test.names();
        test.errorsCarryTheLibrarysMessage();
        test.strides();
        test.wrongLengthsNeverReachC();
        test.buffers();
        test.weightsOfIds();
        test.offsetsIntoMore();
        test.logits();
        test.loadsFrozenAndWithinLimits();
        metrics();
        test.nullIsNamed();
        test.theListOfFieldsIsCopied();
        test.aFrozenCopyOutlivesTheModel();
        test.aClosedModelRefuses();
        test.threads();
        test.forgottenModelsAreFreed();
    }
}
