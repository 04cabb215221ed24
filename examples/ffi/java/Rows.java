import home.Batch;
import home.Model;
import java.util.ArrayList;
import java.util.List;

/** The made-up rows of all examples; ../c/rows.h says what is in them. */
final class Rows {
    static final int COUNT = 64;

    private Rows() {
    }

    static Batch make(Model model, int begin, int end) {
        int width = model.denseWidth();
        float[] dense = new float[(end - begin) * width];
        for (int i = 0; i < dense.length; i++) {
            int r = begin + i / width;
            int c = i % width;
            dense[i] = (37 * r + 11 * c + r * c) % 64 / 32.0f - 1;
        }
        List<Batch.Ids> fields = new ArrayList<>();
        for (int f = 0; f < model.fields().size(); f++)
            fields.add(ids(f, begin, end));
        return new Batch(end - begin, dense, fields);
    }

    private static Batch.Ids ids(int field, int begin, int end) {
        List<Long> ids = new ArrayList<>();
        int[] offsets = new int[end - begin + 1];
        for (int r = begin; r < end; r++) {
            int count = field == 0 ? 1 : (r + field) % 3;
            for (int k = 0; k < count; k++)
                ids.add((131 * (r % 16) + 17 * field + k + 1) * 0x9E3779B97F4A7C15L);
            offsets[r - begin + 1] = ids.size();
        }
        long[] array = ids.stream().mapToLong(Long::longValue).toArray();
        return field == 0 ? new Batch.Ids(array) : new Batch.Ids(array, offsets);
    }
}
