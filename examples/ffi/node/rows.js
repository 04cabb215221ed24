// The made-up rows of all examples; ../c/rows.h says what is in them.

export const ROWS = 64;

/** Rows begin .. end - 1. */
export function makeRows(model, begin = 0, end = ROWS) {
    const rows = Array.from({length: end - begin}, (_, i) => begin + i);
    const dense = rows.flatMap(
        (r) => Array.from({length: model.denseWidth}, (_, i) => (37 * r + 11 * i + r * i) % 64 / 32 - 1));
    const ids = {};
    model.fields.forEach((name, f) => {
        const lists = rows.map((r) => Array.from(
            {length: f === 0 ? 1 : (r + f) % 3},
            (_, k) => BigInt.asUintN(64, BigInt(131 * (r % 16) + 17 * f + k + 1) * 0x9E3779B97F4A7C15n)));
        const flat = BigUint64Array.from(lists.flat());
        const offsets = [0];
        for (const list of lists)
            offsets.push(offsets.at(-1) + list.length);
        ids[name] = f === 0 ? flat : {ids: flat, offsets};
    });
    return {dense: Float32Array.from(dense), ids};
}
