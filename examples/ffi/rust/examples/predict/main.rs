//! Loads a checkpoint in one thread, predicts the made-up rows in four others, and prints the bits of the
//! probabilities; then the same with a frozen copy.
//!
//! Usage: predict MODEL

mod rows;

use home::{Model, Result};
use rows::{Rows, ROWS};
use std::path::PathBuf;
use std::thread;

const THREADS: usize = 4;
const SHARE: usize = ROWS / THREADS;

fn predict_in_threads(model: &Model) -> Result<()> {
    let predict = |i| {
        let rows = Rows::new(model, i * SHARE..(i + 1) * SHARE);
        model.predict(&rows.batch(&rows.fields()))
    };
    let shares: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|i| scope.spawn(move || predict(i)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for share in shares {
        for row in share?.chunks(model.task_count()) {
            let bits: Vec<_> = row.iter().map(|p| format!("{:08x}", p.to_bits())).collect();
            println!("{}", bits.join(" "));
        }
    }
    Ok(())
}

fn run(path: PathBuf) -> Result<()> {
    let model = thread::spawn(move || Model::load(path)).join().unwrap()?;
    let frozen = model.freeze()?;
    predict_in_threads(&model)?;
    predict_in_threads(&frozen)
}

fn main() {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.len() != 2 {
        eprintln!("usage: predict MODEL");
        std::process::exit(2);
    }
    if let Err(error) = run(PathBuf::from(&arguments[1])) {
        eprintln!("error {}: {}", error.status, error);
        std::process::exit(1);
    }
}
