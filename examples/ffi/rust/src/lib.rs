//! libhome for Rust, without any dependency.
//!
//! ```no_run
//! # fn main() -> Result<(), home::Error> {
//! let model = std::sync::Arc::new(home::Model::load("model.safetensors")?.freeze()?);
//! let batch = home::Batch { rows: 1, dense: &[0.5; 18], ..Default::default() };
//! let probabilities = model.predict(&batch)?; // from any thread that has the Arc
//! # Ok(())
//! # }
//! ```
//!
//! The library's rule for threads is Rust's own: what only reads a model takes `&self`, what changes it
//! `&mut self`, so a model that is shared cannot change:
//!
//! ```compile_fail
//! fn change(model: std::sync::Arc<home::Model>) {
//!     model.set_learning_rate(0.1);
//! }
//! ```
//!
//! Lengths are checked here before C sees a pointer, and no call panics on bad input. There is no lock in here: what
//! home.h says of `fork()` holds as it is.
//!
//! Not wrapped, of home.h:
//!
//! - making: home_model_create, home_model_load_memory, home_model_retain, home_model_destroy
//! - training: home_model_backward_from, home_model_task_gradient, home_model_gradients, home_model_table_gradient,
//!   home_model_input_gradient, home_model_unit_gradient_norm, home_model_gradient_norm, home_model_step_count
//! - serving: home_workspace_size, home_workspace_init, home_image_write, home_image_model_size, home_image_open,
//!   home_model_set_parallel
//! - files: home_model_serialize, home_model_load_weights, home_model_set_metadata, home_model_metadata
//! - a look inside: home_model_config_json, home_model_topology_json, home_model_isa, home_model_is_frozen,
//!   home_model_parameter_count, home_model_macs_per_row, home_model_tensor_count, home_model_tensor_at,
//!   home_model_tensor, home_model_set_tensor
//! - figures: home_metrics_*, home_health_*
//! - the rest: home_version, home_version_string, home_status_string, home_hash_id

#![warn(missing_docs)]

#[allow(non_camel_case_types)]
mod sys;

use std::ffi::{CStr, CString};
use std::fmt;
use std::mem::size_of;
use std::os::raw::c_char;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};

/// What was refused: one of HOME_E_* of home.h, and a text that names the value and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// One of HOME_E_*.
    pub status: i32,
    /// For people.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// What a call of this crate gives.
pub type Result<T> = std::result::Result<T, Error>;

/// The ids of one field.
#[derive(Debug, Clone, Copy)]
pub enum Ids<'a> {
    /// One id a row.
    One(&'a [u64]),
    /// Row `r` has `ids[offsets[r]..offsets[r + 1]]`.
    Many {
        /// Of all rows.
        ids: &'a [u64],
        /// One more than rows, never falling.
        offsets: &'a [usize],
    },
}

/// Rows to predict or to train on. A stride leads from one row to the next, in elements; 0: the rows touch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Batch<'a> {
    /// How many.
    pub rows: usize,
    /// [rows, dense_width]
    pub dense: &'a [f32],
    /// Of `dense`.
    pub dense_stride: usize,
    /// In the order of the configuration.
    pub fields: &'a [Ids<'a>],
}

/// What was seen on a batch's rows: labels [rows, tasks], NaN where missing; weights where there are any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Targets<'a> {
    /// [rows, tasks]
    pub labels: &'a [f32],
    /// Of `labels`; 0: the rows touch.
    pub label_stride: usize,
    /// [rows], finite and >= 0.
    pub row_weights: Option<&'a [f32]>,
    /// [rows, tasks], finite and >= 0.
    pub weights: Option<&'a [f32]>,
    /// Of `weights`; 0: the rows touch.
    pub weight_stride: usize,
}

/// A model, freed when dropped. To share one between threads, put it into an `Arc`; a thread that trains needs
/// it for itself and lends frozen copies.
#[derive(Debug)]
pub struct Model {
    handle: NonNull<sys::home_model>,
}

// SAFETY: a handle is tied to no thread, and nothing else points to it: no function here gives it away.
unsafe impl Send for Model {}
// SAFETY: home.h lets any number of threads into functions that take a const model while none is in one that
// takes it without const. The first are called with &self alone, the others with &mut self.
unsafe impl Sync for Model {}

impl Drop for Model {
    fn drop(&mut self) {
        unsafe { sys::home_model_release(self.handle.as_ptr()) }
    }
}

impl Model {
    /// A new model from a configuration in JSON; docs/model.md has the keys.
    ///
    /// Errors: HOME_E_JSON, HOME_E_CONFIG, HOME_E_MEMORY, HOME_E_TOO_LARGE, HOME_E_UNSUPPORTED.
    pub fn create(config: &str) -> Result<Model> {
        made(|model, error| unsafe {
            let text = config.as_ptr() as *const c_char;
            sys::home_model_create_json(text, config.len(), ptr::null(), model, error)
        })
    }

    /// A model from a checkpoint.
    ///
    /// Errors: HOME_E_ARGUMENT for a zero byte in the path, HOME_E_FILE, HOME_E_FORMAT, HOME_E_CHECKSUM,
    /// HOME_E_JSON, HOME_E_CONFIG, HOME_E_MISMATCH, HOME_E_VALUE, HOME_E_MEMORY, HOME_E_TOO_LARGE,
    /// HOME_E_UNSUPPORTED.
    pub fn load(path: impl AsRef<Path>) -> Result<Model> {
        let path = c_path(path.as_ref())?;
        made(|model, error| unsafe {
            sys::home_model_load(path.as_ptr(), ptr::null(), model, error)
        })
    }

    /// Saves a checkpoint, with the optimizer's state if training is to go on.
    ///
    /// Errors, after which the old file is whole: HOME_E_STATE for a frozen model, HOME_E_VALUE where a weight is
    /// not finite, HOME_E_FILE, HOME_E_MEMORY.
    pub fn save(&self, path: impl AsRef<Path>, optimizer: bool) -> Result<()> {
        let path = c_path(path.as_ref())?;
        let flags = if optimizer {
            sys::HOME_SAVE_OPTIMIZER
        } else {
            0
        };
        call(|error| unsafe {
            sys::home_model_save(self.handle.as_ptr(), path.as_ptr(), flags, error)
        })
    }

    /// A read-only copy for serving, which lives on its own.
    ///
    /// Errors: HOME_E_STATE for a frozen model, HOME_E_MEMORY.
    pub fn freeze(&self) -> Result<Model> {
        made(|frozen, error| unsafe { sys::home_model_freeze(self.handle.as_ptr(), frozen, error) })
    }

    /// Predictions [rows, tasks]: probabilities of binary tasks.
    ///
    /// Errors: HOME_E_ARGUMENT for lengths that do not fit, HOME_E_VALUE for an id out of range or offsets that
    /// fall, HOME_E_MEMORY.
    pub fn predict(&self, batch: &Batch) -> Result<Vec<f32>> {
        let c = CBatch::new(self, batch)?;
        let mut predictions = vec![0.0; batch.rows * self.task_count()];
        self.predict_checked(&c, &mut predictions)?;
        Ok(predictions)
    }

    /// The same into memory of the caller's, of rows * tasks elements.
    pub fn predict_into(&self, batch: &Batch, predictions: &mut [f32]) -> Result<()> {
        let c = CBatch::new(self, batch)?;
        let tasks = self.task_count();
        check_rows("predictions", predictions.len(), tasks, batch.rows, tasks)?;
        self.predict_checked(&c, predictions)
    }

    /// With rows * tasks predictions.
    fn predict_checked(&self, c: &CBatch, predictions: &mut [f32]) -> Result<()> {
        call(|error| unsafe {
            let out = predictions.as_mut_ptr();
            sys::home_model_predict(
                self.handle.as_ptr(),
                &c.batch,
                out,
                0,
                ptr::null_mut(),
                error,
            )
        })
    }

    /// One step of the optimizer; returns each task's loss before it, [tasks].
    ///
    /// Errors: HOME_E_ARGUMENT for lengths that do not fit, no rows, or one row where there are batch norms;
    /// HOME_E_STATE for a frozen model; HOME_E_VALUE for a value that is not allowed; HOME_E_MEMORY.
    pub fn train_step(&mut self, batch: &Batch, targets: &Targets) -> Result<Vec<f32>> {
        let c = CBatch::new(self, batch)?;
        let tasks = self.task_count();
        let (rows, labels) = (batch.rows, targets.labels);
        check_rows("labels", labels.len(), targets.label_stride, rows, tasks)?;
        if let Some(weights) = targets.row_weights {
            check_rows("row_weights", weights.len(), 1, rows, 1)?;
        }
        if let Some(weights) = targets.weights {
            check_rows("weights", weights.len(), targets.weight_stride, rows, tasks)?;
        }
        let c_targets = sys::home_targets {
            struct_size: size_of::<sys::home_targets>(),
            labels: labels.as_ptr(),
            label_stride: targets.label_stride,
            row_weights: targets.row_weights.map_or(ptr::null(), <[f32]>::as_ptr),
            weights: targets.weights.map_or(ptr::null(), <[f32]>::as_ptr),
            weight_stride: targets.weight_stride,
        };
        let mut losses = vec![0.0; tasks];
        let model = self.handle.as_ptr();
        call(|error| unsafe {
            sys::home_model_forward(model, &c.batch, ptr::null_mut(), 0, error)
        })?;
        call(|error| unsafe {
            sys::home_model_backward(model, &c_targets, losses.as_mut_ptr(), error)
        })?;
        call(|error| unsafe { sys::home_model_step(model, error) })?;
        Ok(losses)
    }

    /// Of the dense parameters, from the next step on: 0 to 1e6. The embedding tables have their own.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<()> {
        call(|error| unsafe {
            sys::home_model_set_learning_rate(self.handle.as_ptr(), rate, error)
        })
    }

    /// Of the embedding tables, from the next step on: 0 to 1e6.
    pub fn set_embedding_learning_rate(&mut self, rate: f64) -> Result<()> {
        call(|error| unsafe {
            sys::home_model_set_embedding_learning_rate(self.handle.as_ptr(), rate, error)
        })
    }

    /// Lets each call use that many threads of the model's own, 1 to 1024; results do not change.
    pub fn set_threads(&mut self, threads: usize) -> Result<()> {
        call(|error| unsafe { sys::home_model_set_threads(self.handle.as_ptr(), threads, error) })
    }

    /// Dense values of a row.
    pub fn dense_width(&self) -> usize {
        unsafe { sys::home_model_dense_width(self.handle.as_ptr()) }
    }

    /// Id fields of a row.
    pub fn field_count(&self) -> usize {
        unsafe { sys::home_model_field_count(self.handle.as_ptr()) }
    }

    /// Predictions of a row.
    pub fn task_count(&self) -> usize {
        unsafe { sys::home_model_task_count(self.handle.as_ptr()) }
    }

    /// The names of the id fields, in the order of [`Batch::fields`].
    pub fn fields(&self) -> Vec<String> {
        (0..self.field_count()).map(|f| self.field(f)).collect()
    }

    fn field(&self, f: usize) -> String {
        text(unsafe { sys::home_model_field_name(self.handle.as_ptr(), f) })
    }

    /// The names of what is predicted, in the order of predictions and labels.
    pub fn tasks(&self) -> Vec<String> {
        let name = |t| unsafe { sys::home_model_task_name(self.handle.as_ptr(), t) };
        (0..self.task_count()).map(|t| text(name(t))).collect()
    }
}

/// A batch as C wants it. It borrows the rows, and owns what `batch.fields` points to.
struct CBatch<'a> {
    batch: sys::home_batch,
    _ids: Vec<sys::home_ids>,
    _rows: std::marker::PhantomData<Batch<'a>>,
}

impl<'a> CBatch<'a> {
    fn new(model: &Model, batch: &Batch<'a>) -> Result<CBatch<'a>> {
        let width = model.dense_width();
        check_rows(
            "dense",
            batch.dense.len(),
            batch.dense_stride,
            batch.rows,
            width,
        )?;
        if batch.fields.len() != model.field_count() {
            return Err(refused(format!(
                "ids of {} fields, expected {:?}",
                batch.fields.len(),
                model.fields()
            )));
        }
        let ids = batch.fields.iter().enumerate().map(|(f, field)| {
            c_ids(field, batch.rows)
                .map_err(|why| refused(format!("field {:?} has {}", model.field(f), why)))
        });
        let ids = ids.collect::<Result<Vec<_>>>()?;
        Ok(CBatch {
            batch: sys::home_batch {
                struct_size: size_of::<sys::home_batch>(),
                rows: batch.rows,
                dense: batch.dense.as_ptr(),
                dense_stride: batch.dense_stride,
                fields: ids.as_ptr(),
                field_count: ids.len(),
            },
            _ids: ids,
            _rows: std::marker::PhantomData,
        })
    }
}

fn c_ids(field: &Ids, rows: usize) -> std::result::Result<sys::home_ids, String> {
    let (ids, offsets) = match *field {
        Ids::One(ids) if ids.len() == rows => (ids, ptr::null()),
        Ids::One(ids) => return Err(format!("{} ids for {} rows", ids.len(), rows)),
        Ids::Many { ids, offsets }
            if offsets.len().checked_sub(1) == Some(rows) && offsets[rows] <= ids.len() =>
        {
            (ids, offsets.as_ptr())
        }
        Ids::Many { ids, offsets } => {
            return Err(format!(
                "{} offsets, the last one {:?}, for {} rows and {} ids",
                offsets.len(),
                offsets.last(),
                rows,
                ids.len()
            ))
        }
    };
    Ok(sys::home_ids {
        ids: ids.as_ptr(),
        offsets,
    })
}

fn check_rows(name: &str, length: usize, stride: usize, rows: usize, width: usize) -> Result<()> {
    let stride = if stride == 0 { width } else { stride };
    let none = rows == 0 || width == 0;
    if none || stride >= width && length >= width && (length - width) / stride >= rows - 1 {
        return Ok(());
    }
    Err(refused(format!(
        "{} has {} values with stride {}, too few for {} rows of {}",
        name, length, stride, rows, width
    )))
}

fn refused(message: String) -> Error {
    Error {
        status: sys::HOME_E_ARGUMENT,
        message,
    }
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| refused(format!("a zero byte in the path {:?}", path)))
}

fn text(name: *const c_char) -> String {
    unsafe { CStr::from_ptr(name) }
        .to_string_lossy()
        .into_owned()
}

fn call(function: impl FnOnce(*mut sys::home_error) -> i32) -> Result<()> {
    let struct_size = size_of::<sys::home_error>();
    let mut error = sys::home_error {
        struct_size,
        status: 0,
        message: [0; 244],
    };
    match function(&mut error) {
        0 => Ok(()),
        status => Err(Error {
            status,
            message: text(error.message.as_ptr()),
        }),
    }
}

fn made(
    function: impl FnOnce(*mut *mut sys::home_model, *mut sys::home_error) -> i32,
) -> Result<Model> {
    let mut model = ptr::null_mut();
    call(|error| function(&mut model, error))?;
    Ok(Model {
        handle: NonNull::new(model).expect("a model after success"),
    })
}
