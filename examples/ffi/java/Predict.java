import home.HomeException;
import home.Model;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Loads a checkpoint in one thread, predicts the made-up rows in four others, and prints the bits of the
 * probabilities; then the same with a frozen copy. Usage: java Predict MODEL
 */
public final class Predict {
    private static final int THREADS = 4;
    private static final int SHARE = Rows.COUNT / THREADS;

    private Predict() {
    }

    private static void predict(Model model, ExecutorService threads) throws Exception {
        List<Future<float[]>> shares = new ArrayList<>();
        for (int i = 0; i < THREADS; i++) {
            int begin = i * SHARE;
            shares.add(threads.submit(() -> model.predict(Rows.make(model, begin, begin + SHARE))));
        }
        int tasks = model.tasks().size();
        for (Future<float[]> share : shares) {
            float[] predictions = share.get();
            for (int i = 0; i < predictions.length; i++)
                System.out.printf("%08x%s", Float.floatToRawIntBits(predictions[i]),
                    (i + 1) % tasks == 0 ? "\n" : " ");
        }
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 1) {
            System.err.println("usage: java Predict MODEL");
            System.exit(2);
        }
        ExecutorService threads = Executors.newFixedThreadPool(THREADS);
        try (Model model = threads.submit(() -> Model.load(Path.of(arguments[0]))).get();
             Model frozen = model.freeze()) {
            predict(model, threads);
            predict(frozen, threads);
        } catch (ExecutionException | HomeException failure) {
            Throwable cause = failure instanceof ExecutionException ? failure.getCause() : failure;
            if (!(cause instanceof HomeException refused))
                throw failure;
            System.err.println("error " + refused.status() + ": " + refused.getMessage());
            System.exit(1);
        } finally {
            threads.shutdown();
        }
    }
}
