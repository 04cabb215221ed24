//! The made-up rows of all examples; ../c/rows.h says what is in them.

use home::{Batch, Ids, Model};
use std::ops::Range;

pub const ROWS: usize = 64;

pub struct Rows {
    count: usize,
    pub dense: Vec<f32>,
    pub ids: Vec<Vec<u64>>,
    pub offsets: Vec<Vec<usize>>,
}

impl Rows {
    pub fn new(model: &Model, range: Range<usize>) -> Rows {
        let ids_of = |r: usize, f: usize| {
            let count = if f == 0 { 1 } else { (r + f) % 3 };
            (0..count).map(move |k| {
                ((131 * (r % 16) + 17 * f + k + 1) as u64).wrapping_mul(0x9E3779B97F4A7C15)
            })
        };
        let mut rows = Rows {
            count: range.len(),
            dense: Vec::new(),
            ids: vec![Vec::new(); model.field_count()],
            offsets: vec![vec![0]; model.field_count()],
        };
        for r in range {
            let value = |c| ((37 * r + 11 * c + r * c) % 64) as f32 / 32.0 - 1.0;
            rows.dense.extend((0..model.dense_width()).map(value));
            for f in 0..rows.ids.len() {
                rows.ids[f].extend(ids_of(r, f));
                rows.offsets[f].push(rows.ids[f].len());
            }
        }
        rows
    }

    pub fn fields(&self) -> Vec<Ids<'_>> {
        let columns = self.ids.iter().zip(&self.offsets).enumerate();
        columns
            .map(|(f, (ids, offsets))| {
                if f == 0 {
                    Ids::One(ids)
                } else {
                    Ids::Many { ids, offsets }
                }
            })
            .collect()
    }

    pub fn batch<'a>(&'a self, fields: &'a [Ids]) -> Batch<'a> {
        Batch {
            rows: self.count,
            dense: &self.dense,
            fields,
            ..Default::default()
        }
    }
}
