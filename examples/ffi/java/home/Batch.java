package home;

import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.List;
import java.util.Objects;

/**
 * Rows to predict. No thread may write to the arrays during a call.
 *
 * <p>Buffers, direct or not, are copied when they are handed over: what is between position and limit, neither of which
 * moves. A ByteBuffer of another language is little-endian on most machines and must say so, by
 * {@code order(ByteOrder.nativeOrder())}, before it is seen as floats or longs.
 *
 * @param rows   how many
 * @param dense  rows of Model.denseWidth() values, may be empty where that is 0
 * @param stride elements of dense from one row to the next; 0: the rows touch
 * @param fields in the order of the configuration
 */
public record Batch(int rows, float[] dense, int stride, List<Ids> fields) {

    /**
     * Ids of one field: row r has ids[offsets[r]] .. ids[offsets[r + 1] - 1]; without offsets one a row.
     *
     * @param ids     64 bits without sign
     * @param offsets one more than rows, never falling; or null
     * @param weights one for each of ids, at least 0 where the field's pooling is the mean; or null: all 1
     */
    public record Ids(long[] ids, int[] offsets, float[] weights) {
        public Ids {
            Objects.requireNonNull(ids, "ids");
        }

        /** One id a row. */
        public Ids(long[] ids) {
            this(ids, null, null);
        }

        /** Any number a row. */
        public Ids(long[] ids, int[] offsets) {
            this(ids, offsets, null);
        }

        /** One id a row, copied. */
        public Ids(LongBuffer ids) {
            this(remaining(ids), null, null);
        }

        /** Any number a row, copied. */
        public Ids(LongBuffer ids, IntBuffer offsets) {
            this(remaining(ids), remaining(offsets), null);
        }
    }

    public Batch {
        Objects.requireNonNull(dense, "dense");
        fields = List.copyOf(fields); // cannot change during a call
    }

    /** Rows that touch. */
    public Batch(int rows, float[] dense, List<Ids> fields) {
        this(rows, dense, 0, fields);
    }

    /** Rows that touch, of a model without id fields. */
    public Batch(int rows, float[] dense) {
        this(rows, dense, 0, List.of());
    }

    /** Rows that are copied from a buffer. */
    public Batch(int rows, FloatBuffer dense, int stride, List<Ids> fields) {
        this(rows, remaining(dense), stride, fields);
    }

    private static float[] remaining(FloatBuffer buffer) {
        float[] values = new float[buffer.remaining()];
        buffer.duplicate().get(values);
        return values;
    }

    private static long[] remaining(LongBuffer buffer) {
        long[] values = new long[buffer.remaining()];
        buffer.duplicate().get(values);
        return values;
    }

    private static int[] remaining(IntBuffer buffer) {
        int[] values = new int[buffer.remaining()];
        buffer.duplicate().get(values);
        return values;
    }
}
