#[path = "../examples/predict/rows.rs"]
mod rows;

use home::{Batch, Ids, Metrics, Model, Options, SeenRows, Targets, NO_USER};
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

#[test]
fn weights_of_ids_count() {
    with_rows(|model, rows, batch| {
        let expected = model.predict(&batch).unwrap();
        let weigh = |field: usize, weights: &[f32]| {
            let mut fields = batch.fields.to_vec();
            fields[field] = Ids::Weighted {
                ids: &rows.ids[field],
                offsets: Some(&rows.offsets[field]),
                weights,
            };
            model.predict(&Batch {
                fields: &fields,
                ..batch
            })
        };
        let mut weights = vec![1.0; rows.ids[2].len()];
        assert_eq!(weigh(2, &weights).unwrap(), expected);
        weights[0] = 3.0;
        assert_ne!(weigh(2, &weights).unwrap(), expected);
        let mut weights = vec![1.0; rows.ids[1].len()];
        weights[0] = -1.0; // of a mean
        assert_eq!(weigh(1, &weights).unwrap_err().status, 3);
        let error = weigh(1, &weights[1..]).unwrap_err();
        assert_eq!(error.status, 1);
        assert!(
            error.message.starts_with("field \"liked\" has "),
            "{}",
            error
        );
        let one = Ids::Weighted {
            ids: &rows.ids[0],
            offsets: None,
            weights: &vec![1.0; ROWS],
        };
        let mut fields = batch.fields.to_vec();
        fields[0] = one;
        let weighted = Batch {
            fields: &fields,
            ..batch
        };
        assert_eq!(model.predict(&weighted).unwrap(), expected);
    });
}

#[test]
fn logits_are_what_predictions_come_from() {
    with_rows(|model, _, batch| {
        let scores = model.predict_logits(&batch).unwrap();
        assert_eq!(scores.predictions, model.predict(&batch).unwrap());
        for (p, x) in scores.predictions.iter().zip(&scores.logits) {
            assert!((1.0 / (1.0 + (-x).exp()) - p).abs() < 1e-6);
        }
    });
}

#[test]
fn parts_add_up_to_a_batch() {
    // Batch norms would see each half alone.
    let config =
        CONFIG.trim_end().trim_end_matches('}').to_owned() + r#", "experts": {"norm": "none"}}"#;
    let mut whole = Model::create(&config).unwrap();
    let mut halves = Model::create(&config).unwrap();
    let all = labels(&whole);
    let tasks = whole.task_count();
    let total = vec![ROWS as f64; tasks];
    let rows = Rows::new(&whole, 0..ROWS);
    let targets = Targets {
        labels: &all,
        ..Default::default()
    };
    let losses = whole
        .train_step(&rows.batch(&rows.fields()), &targets)
        .unwrap();
    let mut added = vec![0.0; tasks];
    for half in [0..ROWS / 2, ROWS / 2..ROWS] {
        let part = Rows::new(&halves, half.clone());
        halves.forward(&part.batch(&part.fields())).unwrap();
        let seen = Targets {
            labels: &all[half.start * tasks..half.end * tasks],
            total_weights: Some(&total),
            accumulate: true,
            ..Default::default()
        };
        for (sum, loss) in added.iter_mut().zip(halves.backward(&seen).unwrap()) {
            *sum += loss;
        }
    }
    halves.step().unwrap();
    for (a, b) in added.iter().zip(&losses) {
        assert!((a - b).abs() < 1e-5);
    }
    let a = whole.predict(&rows.batch(&rows.fields())).unwrap();
    let b = halves.predict(&rows.batch(&rows.fields())).unwrap();
    assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-3));
    halves.forward(&rows.batch(&rows.fields())).unwrap();
    let half = Targets {
        labels: &all[all.len() / 2..],
        ..Default::default()
    };
    assert_eq!(halves.backward(&half).unwrap_err().status, 1);
}

#[test]
fn what_changes_while_training() {
    with_rows(|mut model, _, batch| {
        let labels = labels(&model);
        let targets = Targets {
            labels: &labels,
            ..Default::default()
        };
        model.set_task_weight(1, 0.0).unwrap();
        model.set_norm_momentum(0.0).unwrap();
        model.set_trained("*", false).unwrap();
        let before = model.predict(&batch).unwrap();
        model.train_step(&batch, &targets).unwrap();
        assert_eq!(model.predict(&batch).unwrap(), before);
        assert_eq!(model.set_trained("nothing", true).unwrap_err().status, 4);
        assert_eq!(model.set_task_weight(9, 1.0).unwrap_err().status, 4);
    });
}

#[test]
fn checkpoints_load_frozen_and_within_limits() {
    with_rows(|model, _, batch| {
        let bytes = model.serialize(true).unwrap();
        let options = Options {
            frozen: true,
            ..Default::default()
        };
        let frozen = Model::load_memory(&bytes, &options).unwrap();
        assert!(frozen.is_frozen() && !model.is_frozen());
        assert_eq!(
            frozen.predict(&batch),
            model.freeze().unwrap().predict(&batch)
        );
        let again = Model::load_memory(&bytes, &Options::default()).unwrap();
        assert_eq!(again.serialize(true).unwrap(), bytes);
        let small = Options {
            memory_limit: 1000,
            ..Default::default()
        };
        assert_eq!(Model::load_memory(&bytes, &small).unwrap_err().status, 11);
        assert_eq!(Model::create_with(CONFIG, &small).unwrap_err().status, 11);
        let odd = Options {
            isa: Some("z80"),
            ..Default::default()
        };
        assert_eq!(Model::load_memory(&bytes, &odd).unwrap_err().status, 1);
        assert_eq!(Model::load_frozen("/nowhere").unwrap_err().status, 30);
    });
}

#[test]
fn metrics_count_weights_and_rows_without_users() {
    let (predictions, labels) = ([0.1, 0.4, 0.35, 0.8], [0.0, 0.0, 1.0, 1.0]);
    let users = [7, NO_USER, 7, NO_USER];
    let seen = SeenRows {
        rows: 4,
        predictions: &predictions,
        labels: &labels,
        users: Some(&users),
        row_weights: Some(&[2.0, 1.0, 1.0, 1.0]),
        ..Default::default()
    };
    let mut metrics = Metrics::new(1, None, 0).unwrap();
    metrics.add(&seen).unwrap();
    let result = metrics.result(0).unwrap();
    assert_eq!((result.rows, result.no_user_rows), (4, 2));
    assert_eq!((result.weight, result.gauc_users), (5.0, 1));
    let mut other = Metrics::new(1, Some(&[1]), 1 << 20).unwrap();
    other.merge_bytes(&metrics.serialize().unwrap()).unwrap();
    other.merge(&metrics).unwrap();
    assert_eq!(other.result(0).unwrap().rows, 8);
    other.reset();
    assert_eq!(other.result(0).unwrap().rows, 0);
    assert!(other.merge_bytes(b"nonsense").is_err());
    assert_eq!(metrics.result(1).unwrap_err().status, 4);
    let short = SeenRows { rows: 5, ..seen };
    assert_eq!(metrics.add(&short).unwrap_err().status, 1);
    assert_eq!(Metrics::new(2, Some(&[1]), 0).unwrap_err().status, 1);
}
