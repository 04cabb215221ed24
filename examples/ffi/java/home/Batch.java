package home;

import java.util.List;

/**
 * Rows to predict. No thread may write to the arrays during a call.
 *
 * @param dense  rows of Model.denseWidth() values, may be empty where that is 0
 * @param stride elements of dense from one row to the next; 0: the rows touch
 * @param fields in the order of the configuration
 */
public record Batch(int rows, float[] dense, int stride, List<Ids> fields) {

    /** Ids of one field: row r has ids[offsets[r]] .. ids[offsets[r + 1] - 1]; without offsets one a row. */
    public record Ids(long[] ids, int[] offsets) {
        public Ids(long[] ids) {
            this(ids, null);
        }
    }

    public Batch {
        fields = List.copyOf(fields); // cannot change during a call
    }

    public Batch(int rows, float[] dense, List<Ids> fields) {
        this(rows, dense, 0, fields);
    }

    public Batch(int rows, float[] dense) {
        this(rows, dense, 0, List.of());
    }
}
