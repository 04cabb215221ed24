#[path = "../examples/predict/rows.rs"]
mod rows;

use home::{Batch, Ids, Model, Targets};
use rows::{Rows, ROWS};
use std::sync::Arc;
use std::thread;

const CONFIG: &str = include_str!("../../ids.json");

fn labels(model: &Model) -> Vec<f32> {
    let tasks = model.task_count();
    let label = |i: usize| u8::from((i / tasks % 16 + i % tasks) % 3 == 0);
    (0..ROWS * tasks).map(|i| f32::from(label(i))).collect()
}

fn with_rows(test: impl FnOnce(Model, &Rows, Batch)) {
    let model = Model::create(CONFIG).unwrap();
    let rows = Rows::new(&model, 0..ROWS);
    test(model, &rows, rows.batch(&rows.fields()));
}

#[test]
fn tells_what_it_takes_and_gives() {
    let model = Model::create(CONFIG).unwrap();
    assert_eq!(model.dense_width(), 3);
    assert_eq!(model.fields(), ["user", "liked", "watched"]);
    assert_eq!(model.tasks(), ["like", "follow", "finish"]);
}

#[test]
fn errors_carry_the_librarys_message() {
    let error = Model::load("/nowhere/model.safetensors").unwrap_err();
    assert_eq!(error.status, 30);
    assert!(
        error.to_string().contains("/nowhere/model.safetensors"),
        "{}",
        error
    );
    assert_eq!(Model::load("zero\0byte").unwrap_err().status, 1);
    assert_eq!(Model::create("{").unwrap_err().status, 21);
}

#[test]
fn rows_may_have_a_stride() {
    with_rows(|model, rows, batch| {
        let (width, stride) = (model.dense_width(), model.dense_width() + 2);
        let mut wide = vec![f32::NAN; ROWS * stride - 2];
        for (r, row) in rows.dense.chunks(width).enumerate() {
            wide[r * stride..r * stride + width].copy_from_slice(row);
        }
        let strided = Batch {
            dense: &wide,
            dense_stride: stride,
            ..batch
        };
        assert_eq!(model.predict(&strided), model.predict(&batch));
    });
}

#[test]
fn wrong_lengths_never_reach_c() {
    with_rows(|mut model, rows, batch| {
        let offsets = &rows.offsets[1][..];
        let with_field = |at: usize, ids| {
            let mut fields = batch.fields.to_vec();
            fields[at] = ids;
            fields
        };
        for wrong in [
            Batch {
                dense: &rows.dense[1..],
                ..batch
            },
            Batch {
                dense: &[],
                ..batch
            },
            Batch {
                dense_stride: 2,
                ..batch
            },
            Batch {
                dense_stride: usize::MAX,
                ..batch
            },
            Batch {
                rows: ROWS + 1,
                ..batch
            },
            Batch {
                rows: usize::MAX,
                ..batch
            },
            Batch {
                rows: usize::MAX / 4,
                ..batch
            },
            Batch {
                fields: &with_field(0, Ids::One(&rows.ids[0][1..])),
                ..batch
            },
            Batch {
                fields: &with_field(1, Ids::Many { ids: &[], offsets }),
                ..batch
            },
            Batch {
                fields: &with_field(
                    1,
                    Ids::Many {
                        ids: &rows.ids[1],
                        offsets: &[],
                    },
                ),
                ..batch
            },
            Batch {
                fields: &batch.fields[1..],
                ..batch
            },
        ] {
            assert_eq!(model.predict(&wrong).unwrap_err().status, 1);
        }
        let fields = with_field(0, Ids::One(&rows.ids[0][1..]));
        let wrong = Batch {
            fields: &fields,
            ..batch
        };
        assert_eq!(
            model.predict(&wrong).unwrap_err().message,
            "field \"user\" has 63 ids for 64 rows"
        );
        let mut small = [0.0; 5];
        assert_eq!(
            model.predict_into(&batch, &mut small).unwrap_err().status,
            1
        );
        let all = labels(&model);
        for wrong in [
            Targets {
                labels: &all[1..],
                ..Default::default()
            },
            Targets {
                labels: &all,
                row_weights: Some(&all[..9]),
                ..Default::default()
            },
            Targets {
                labels: &all,
                weights: Some(&all[..9]),
                ..Default::default()
            },
        ] {
            assert_eq!(model.train_step(&batch, &wrong).unwrap_err().status, 1);
        }
    });
}

/// Steps that move nothing have the same losses.
#[test]
fn each_learning_rate_counts() {
    for (rate, embedding_rate, moves) in [(0.0, 0.0, false), (0.0, 0.1, true), (0.01, 0.0, true)] {
        with_rows(|mut model, _, batch| {
            let labels = labels(&model);
            let targets = Targets {
                labels: &labels,
                ..Default::default()
            };
            model.set_learning_rate(rate).unwrap();
            model.set_embedding_learning_rate(embedding_rate).unwrap();
            let first = model.train_step(&batch, &targets).unwrap();
            assert_eq!(model.train_step(&batch, &targets).unwrap() != first, moves);
        });
    }
}

#[test]
fn training_learns_and_saves() {
    with_rows(|mut model, _, batch| {
        let labels = labels(&model);
        let targets = Targets {
            labels: &labels,
            ..Default::default()
        };
        let first = model.train_step(&batch, &targets).unwrap();
        model.set_learning_rate(0.02).unwrap();
        model.set_threads(2).unwrap();
        let last = (0..10)
            .map(|_| model.train_step(&batch, &targets).unwrap())
            .last()
            .unwrap();
        assert!(first.iter().zip(&last).all(|(a, b)| b < a));

        let path = std::env::temp_dir().join(format!("home-{}.safetensors", std::process::id()));
        model.save(&path, true).unwrap();
        let again = Model::load(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(again.unwrap().predict(&batch), model.predict(&batch));
    });
}

#[test]
fn a_frozen_copy_outlives_the_model_and_moves_between_threads() {
    with_rows(|model, rows, batch| {
        let expected = model.freeze().unwrap().predict(&batch).unwrap();
        let frozen = thread::spawn(move || Arc::new(model.freeze().unwrap()))
            .join()
            .unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                let (frozen, expected) = (Arc::clone(&frozen), &expected);
                scope.spawn(move || {
                    for _ in 0..50 {
                        assert_eq!(
                            &frozen.predict(&rows.batch(&rows.fields())).unwrap(),
                            expected
                        );
                    }
                });
            }
            drop(frozen); // the threads keep it
        });
    });
}
