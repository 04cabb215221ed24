//! libhome for Rust, without any dependency.
//!
//! ```no_run
//! # fn main() -> Result<(), home::Error> {
//! let model = std::sync::Arc::new(home::Model::load_frozen("model.safetensors")?);
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
//! - making: home_model_create, home_config_check, home_config_check_json, home_model_retain
//! - batches: home_model_predict, home_model_predict_flat, home_model_forward_flat: a [`Batch`] has slices already
//! - training: home_model_backward_from, home_model_logits, home_model_task_gradient, home_model_gradient,
//!   home_model_table_gradient, home_model_input_gradient, home_model_set_gradient, home_model_set_table_gradient,
//!   home_model_unit_gradient_norm, home_model_gradient_norm, home_model_step_count, home_model_learning_rate,
//!   home_model_embedding_learning_rate, home_model_task_weight, home_model_norm_momentum
//! - serving: home_workspace_size, home_workspace_init, home_workspace_fits, home_image_write,
//!   home_image_model_size, home_image_open, home_model_set_parallel, home_model_block_rows
//! - files: home_model_load_weights, home_model_set_metadata, home_model_metadata, home_checkpoint_*
//! - a look inside: home_model_config_json, home_model_topology_json, home_model_isa,
//!   home_model_parameter_count, home_model_macs_per_row, home_model_bytes, home_model_check_names,
//!   home_model_dense_name, home_model_field_index, home_model_task_index, home_model_table_count,
//!   home_model_table_name, home_model_table_index, home_model_layer_count, home_model_unit_count,
//!   home_model_unit_name, home_model_unit_index, home_model_tensor_count, home_model_tensor_at,
//!   home_model_tensor, home_model_set_tensor
//! - figures: home_health_*
//! - the rest: home_version, home_version_string, home_status_string, home_hash_id

#![warn(missing_docs)]

#[allow(non_camel_case_types)]
mod sys;

use std::ffi::{CStr, CString};
use std::fmt;
use std::mem::size_of;
use std::os::raw::{c_char, c_void};
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
    /// Either with a weight for each id.
    Weighted {
        /// Of all rows.
        ids: &'a [u64],
        /// One more than rows, never falling; None: one id a row.
        offsets: Option<&'a [usize]>,
        /// As many as ids: finite, and at least 0 where the field's pooling is the mean.
        weights: &'a [f32],
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
    /// [tasks] Where the rows are one part of a batch: the sums of the weights of the whole batch's rows with a
    /// label. None: of these rows.
    pub total_weights: Option<&'a [f64]>,
    /// Adds the gradients to those since the last step, in place of replacing them.
    pub accumulate: bool,
}

/// Predictions and the logits that they come from, each [rows, tasks].
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Probabilities of binary tasks.
    pub predictions: Vec<f32>,
    /// The towers' outputs, before the sigmoid.
    pub logits: Vec<f32>,
}

/// How a model is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Of a checkpoint: straight to a frozen model, in less time and memory.
    pub frozen: bool,
    /// The most bytes that the model may take; 0: home.h has the defaults.
    pub memory_limit: u64,
    /// The best instruction set that it may use; None: any.
    pub isa: Option<&'a str>,
}

/// A model, freed when dropped. To share one between threads, put it into an `Arc`; a thread that trains needs
/// it for itself and lends frozen copies.
#[derive(Debug)]
pub struct Model {
    handle: NonNull<sys::home_model>,
    rows: usize, // of the last forward: C trusts the lengths of what goes with it
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
        Model::create_with(config, &Options::default())
    }

    /// The same with options; `frozen` has no meaning here.
    pub fn create_with(config: &str, options: &Options) -> Result<Model> {
        let isa = options.isa.map(c_text).transpose()?;
        let options = sys::home_create_options {
            struct_size: size_of::<sys::home_create_options>(),
            allocator: ptr::null(),
            isa: isa.as_ref().map_or(ptr::null(), |name| name.as_ptr()),
            memory_limit: options.memory_limit,
        };
        made(|model, error| unsafe {
            let text = config.as_ptr() as *const c_char;
            sys::home_model_create_json(text, config.len(), &options, model, error)
        })
    }

    /// A model from a checkpoint.
    ///
    /// Errors: HOME_E_ARGUMENT for a zero byte in the path, HOME_E_FILE, HOME_E_FORMAT, HOME_E_CHECKSUM,
    /// HOME_E_JSON, HOME_E_CONFIG, HOME_E_MISMATCH, HOME_E_VALUE, HOME_E_MEMORY, HOME_E_TOO_LARGE,
    /// HOME_E_UNSUPPORTED.
    pub fn load(path: impl AsRef<Path>) -> Result<Model> {
        Model::load_with(path, &Options::default())
    }

    /// A frozen model straight from a checkpoint. Errors: as `load`.
    pub fn load_frozen(path: impl AsRef<Path>) -> Result<Model> {
        let options = Options {
            frozen: true,
            ..Default::default()
        };
        Model::load_with(path, &options)
    }

    /// A model from a checkpoint, with options. Errors: as `load`.
    pub fn load_with(path: impl AsRef<Path>, options: &Options) -> Result<Model> {
        let path = c_path(path.as_ref())?;
        let isa = options.isa.map(c_text).transpose()?;
        let options = load_options(options, &isa);
        made(|model, error| unsafe { sys::home_model_load(path.as_ptr(), &options, model, error) })
    }

    /// A model from the bytes of a checkpoint, which are copied. Errors: as `load`, without HOME_E_FILE.
    pub fn load_memory(bytes: &[u8], options: &Options) -> Result<Model> {
        let isa = options.isa.map(c_text).transpose()?;
        let options = load_options(options, &isa);
        made(|model, error| unsafe {
            let data = bytes.as_ptr() as *const c_void;
            sys::home_model_load_memory(data, bytes.len(), &options, model, error)
        })
    }

    /// The bytes that `save` would write.
    pub fn serialize(&self, optimizer: bool) -> Result<Vec<u8>> {
        let flags = if optimizer {
            sys::HOME_SAVE_OPTIMIZER
        } else {
            0
        };
        written(|buffer, capacity, length, error| unsafe {
            sys::home_model_serialize(self.handle.as_ptr(), flags, buffer, capacity, length, error)
        })
    }

    /// Whether it is for serving only.
    pub fn is_frozen(&self) -> bool {
        unsafe { sys::home_model_is_frozen(self.handle.as_ptr()) != 0 }
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
        self.predict_checked(&c, &mut predictions, None)?;
        Ok(predictions)
    }

    /// The same with the logits.
    pub fn predict_logits(&self, batch: &Batch) -> Result<Scores> {
        let c = CBatch::new(self, batch)?;
        let mut predictions = vec![0.0; batch.rows * self.task_count()];
        let mut logits = predictions.clone();
        self.predict_checked(&c, &mut predictions, Some(&mut logits))?;
        Ok(Scores {
            predictions,
            logits,
        })
    }

    /// The same into memory of the caller's, of rows * tasks elements.
    pub fn predict_into(&self, batch: &Batch, predictions: &mut [f32]) -> Result<()> {
        let c = CBatch::new(self, batch)?;
        let tasks = self.task_count();
        check_rows("predictions", predictions.len(), tasks, batch.rows, tasks)?;
        self.predict_checked(&c, predictions, None)
    }

    /// With rows * tasks predictions, and as many logits.
    fn predict_checked(
        &self,
        c: &CBatch,
        predictions: &mut [f32],
        logits: Option<&mut [f32]>,
    ) -> Result<()> {
        call(|error| unsafe {
            sys::home_model_predict_logits(
                self.handle.as_ptr(),
                &c.batch,
                predictions.as_mut_ptr(),
                0,
                logits.map_or(ptr::null_mut(), <[f32]>::as_mut_ptr),
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
        self.c_targets(targets, batch.rows)?; // before anything moves
        self.forward(batch)?;
        let losses = self.backward(targets)?;
        self.step()?;
        Ok(losses)
    }

    /// The first part of a step: runs the model in training mode, keeps what `backward` needs, and returns
    /// predictions. Errors: as `train_step`.
    pub fn forward(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        let c = CBatch::new(self, batch)?;
        let mut predictions = vec![0.0; batch.rows * self.task_count()];
        call(|error| unsafe {
            let out = predictions.as_mut_ptr();
            sys::home_model_forward(self.handle.as_ptr(), &c.batch, out, 0, error)
        })?;
        self.rows = batch.rows;
        Ok(predictions)
    }

    /// The second part: the gradients of the last forward; returns the losses, [tasks]. Several forwards and
    /// backwards may come before a step: see [`Targets::accumulate`]. Errors: as `train_step`, and HOME_E_STATE
    /// without a forward.
    pub fn backward(&mut self, targets: &Targets) -> Result<Vec<f32>> {
        let c_targets = self.c_targets(targets, self.rows)?;
        let mut losses = vec![0.0; self.task_count()];
        call(|error| unsafe {
            sys::home_model_backward(self.handle.as_ptr(), &c_targets, losses.as_mut_ptr(), error)
        })?;
        Ok(losses)
    }

    /// The last part: moves the parameters along the gradients. Errors: HOME_E_STATE without gradients,
    /// HOME_E_VALUE where their norm is not finite.
    pub fn step(&mut self) -> Result<()> {
        call(|error| unsafe { sys::home_model_step(self.handle.as_ptr(), error) })
    }

    fn c_targets(&self, targets: &Targets, rows: usize) -> Result<sys::home_targets> {
        let tasks = self.task_count();
        let labels = targets.labels;
        check_rows("labels", labels.len(), targets.label_stride, rows, tasks)?;
        if let Some(weights) = targets.row_weights {
            check_rows("row_weights", weights.len(), 1, rows, 1)?;
        }
        if let Some(weights) = targets.weights {
            check_rows("weights", weights.len(), targets.weight_stride, rows, tasks)?;
        }
        if let Some(weights) = targets.total_weights {
            check_rows("total_weights", weights.len(), 1, tasks, 1)?;
        }
        Ok(sys::home_targets {
            struct_size: size_of::<sys::home_targets>(),
            labels: labels.as_ptr(),
            label_stride: targets.label_stride,
            row_weights: targets.row_weights.map_or(ptr::null(), <[f32]>::as_ptr),
            weights: targets.weights.map_or(ptr::null(), <[f32]>::as_ptr),
            weight_stride: targets.weight_stride,
            total_weights: targets.total_weights.map_or(ptr::null(), <[f64]>::as_ptr),
            accumulate: switch(targets.accumulate),
            reserved: 0,
        })
    }

    /// The factor of a task's loss in the total; 0 takes it out.
    pub fn set_task_weight(&mut self, task: usize, weight: f64) -> Result<()> {
        call(|error| unsafe {
            sys::home_model_set_task_weight(self.handle.as_ptr(), task, weight, error)
        })
    }

    /// How far a forward moves the batch norms' running values: 0 to 1.
    pub fn set_norm_momentum(&mut self, momentum: f64) -> Result<()> {
        call(|error| unsafe {
            sys::home_model_set_norm_momentum(self.handle.as_ptr(), momentum, error)
        })
    }

    /// Whether steps move the tensors whose names match a pattern, in which `*` stands for any characters.
    pub fn set_trained(&mut self, pattern: &str, trained: bool) -> Result<()> {
        let pattern = c_text(pattern)?;
        call(|error| unsafe {
            let on = switch(trained);
            sys::home_model_set_trained(self.handle.as_ptr(), pattern.as_ptr(), on, error)
        })
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
    let (ids, offsets, weights) = match *field {
        Ids::One(ids) => (ids, None, None),
        Ids::Many { ids, offsets } => (ids, Some(offsets), None),
        Ids::Weighted {
            ids,
            offsets,
            weights,
        } => (ids, offsets, Some(weights)),
    };
    let count = match offsets {
        None if ids.len() == rows => rows,
        None => return Err(format!("{} ids for {} rows", ids.len(), rows)),
        Some(offsets)
            if offsets.len().checked_sub(1) == Some(rows) && offsets[rows] <= ids.len() =>
        {
            offsets[rows]
        }
        Some(offsets) => {
            return Err(format!(
                "{} offsets, the last one {:?}, for {} rows and {} ids",
                offsets.len(),
                offsets.last(),
                rows,
                ids.len()
            ))
        }
    };
    if let Some(weights) = weights.filter(|weights| weights.len() != ids.len()) {
        return Err(format!("{} weights for {} ids", weights.len(), ids.len()));
    }
    Ok(sys::home_ids {
        struct_size: size_of::<sys::home_ids>(),
        ids: ids.as_ptr(),
        offsets: offsets.map_or(ptr::null(), <[usize]>::as_ptr),
        count,
        weights: weights.map_or(ptr::null(), <[f32]>::as_ptr),
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

fn c_text(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| refused(format!("a zero byte in {:?}", text)))
}

fn load_options(options: &Options, isa: &Option<CString>) -> sys::home_load_options {
    sys::home_load_options {
        struct_size: size_of::<sys::home_load_options>(),
        allocator: ptr::null(),
        isa: isa.as_ref().map_or(ptr::null(), |name| name.as_ptr()),
        memory_limit: options.memory_limit,
        frozen: switch(options.frozen),
        reserved: 0,
    }
}

fn switch(on: bool) -> i32 {
    if on {
        sys::HOME_ON
    } else {
        sys::HOME_OFF
    }
}

/// What a function of C writes to memory whose size it tells first.
fn written(
    function: impl Fn(*mut c_void, usize, *mut usize, *mut sys::home_error) -> i32,
) -> Result<Vec<u8>> {
    let mut length = 0;
    call(|error| function(ptr::null_mut(), 0, &mut length, error))?;
    let mut bytes = vec![0u8; length];
    let buffer = bytes.as_mut_ptr() as *mut c_void;
    call(|error| function(buffer, bytes.len(), &mut length, error))?;
    Ok(bytes)
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
        rows: 0,
    })
}

/// In place of a user: the row belongs to nobody.
pub const NO_USER: u64 = u64::MAX;

/// The figures of a task; home.h explains them. Those that are not defined are NaN.
pub use sys::home_metric_result as TaskMetrics;

/// Rows for [`Metrics`]. Predictions and labels are [rows, tasks], labels NaN where missing.
#[derive(Debug, Clone, Copy, Default)]
pub struct SeenRows<'a> {
    /// How many.
    pub rows: usize,
    /// [rows, tasks]
    pub predictions: &'a [f32],
    /// [rows, tasks]
    pub labels: &'a [f32],
    /// [rows], [`NO_USER`] for none; None: no row has a user.
    pub users: Option<&'a [u64]>,
    /// [rows], finite and >= 0.
    pub row_weights: Option<&'a [f32]>,
    /// [rows, tasks], finite and >= 0.
    pub weights: Option<&'a [f32]>,
}

/// How good predictions are, over any number of batches.
#[derive(Debug)]
pub struct Metrics {
    handle: NonNull<sys::home_metrics>,
    tasks: usize,
}

// SAFETY: as of Model.
unsafe impl Send for Metrics {}
// SAFETY: as of Model.
unsafe impl Sync for Metrics {}

impl Drop for Metrics {
    fn drop(&mut self) {
        unsafe { sys::home_metrics_destroy(self.handle.as_ptr()) }
    }
}

impl Metrics {
    /// Empty. losses: [tasks] HOME_LOSS_* of home.h; None: all binary. max_bytes: the most memory, with errors that
    /// the figures state; 0: all rows are kept.
    ///
    /// Errors: HOME_E_ARGUMENT, HOME_E_MEMORY.
    pub fn new(tasks: usize, losses: Option<&[i32]>, max_bytes: usize) -> Result<Metrics> {
        if let Some(losses) = losses {
            check_rows("losses", losses.len(), 1, tasks, 1)?;
        }
        let options = sys::home_metrics_options {
            struct_size: size_of::<sys::home_metrics_options>(),
            tasks,
            losses: losses.map_or(ptr::null(), <[i32]>::as_ptr),
            max_bytes,
            allocator: ptr::null(),
        };
        let mut handle = ptr::null_mut();
        call(|error| unsafe { sys::home_metrics_create(&options, &mut handle, error) })?;
        Ok(Metrics {
            handle: NonNull::new(handle).expect("metrics after success"),
            tasks,
        })
    }

    /// Adds rows. Errors, after which it holds what it held: HOME_E_ARGUMENT for lengths that do not fit,
    /// HOME_E_VALUE for a label, a prediction or a weight that is not allowed, HOME_E_MEMORY.
    pub fn add(&mut self, seen: &SeenRows) -> Result<()> {
        let (rows, tasks) = (seen.rows, self.tasks);
        check_rows("predictions", seen.predictions.len(), tasks, rows, tasks)?;
        check_rows("labels", seen.labels.len(), tasks, rows, tasks)?;
        if let Some(users) = seen.users {
            check_rows("users", users.len(), 1, rows, 1)?;
        }
        if let Some(weights) = seen.row_weights {
            check_rows("row_weights", weights.len(), 1, rows, 1)?;
        }
        if let Some(weights) = seen.weights {
            check_rows("weights", weights.len(), tasks, rows, tasks)?;
        }
        let c_rows = sys::home_metrics_rows {
            struct_size: size_of::<sys::home_metrics_rows>(),
            rows,
            predictions: seen.predictions.as_ptr(),
            prediction_stride: 0,
            labels: seen.labels.as_ptr(),
            label_stride: 0,
            users: seen.users.map_or(ptr::null(), <[u64]>::as_ptr),
            row_weights: seen.row_weights.map_or(ptr::null(), <[f32]>::as_ptr),
            weights: seen.weights.map_or(ptr::null(), <[f32]>::as_ptr),
            weight_stride: 0,
        };
        call(|error| unsafe { sys::home_metrics_add(self.handle.as_ptr(), &c_rows, error) })
    }

    /// Forgets all rows.
    pub fn reset(&mut self) {
        unsafe { sys::home_metrics_reset(self.handle.as_ptr()) }
    }

    /// Adds all that another one holds. Errors: HOME_E_ARGUMENT, HOME_E_MEMORY.
    pub fn merge(&mut self, from: &Metrics) -> Result<()> {
        call(|error| unsafe {
            sys::home_metrics_merge(self.handle.as_ptr(), from.handle.as_ptr(), error)
        })
    }

    /// All it holds, for `merge_bytes` on any machine.
    pub fn serialize(&self) -> Result<Vec<u8>> {
        written(|buffer, capacity, length, error| unsafe {
            sys::home_metrics_serialize(self.handle.as_ptr(), buffer, capacity, length, error)
        })
    }

    /// Adds what another one has made bytes of. Errors: those of home_metrics_merge_bytes() in home.h.
    pub fn merge_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        call(|error| unsafe {
            let data = bytes.as_ptr() as *const c_void;
            sys::home_metrics_merge_bytes(self.handle.as_ptr(), data, bytes.len(), error)
        })
    }

    /// The figures of a task. Errors: HOME_E_NOT_FOUND, HOME_E_MEMORY.
    pub fn result(&self, task: usize) -> Result<TaskMetrics> {
        // SAFETY: numbers alone, for which all zeros are values.
        let mut figures: TaskMetrics = unsafe { std::mem::zeroed() };
        figures.struct_size = size_of::<TaskMetrics>();
        call(|error| unsafe {
            sys::home_metrics_result(self.handle.as_ptr(), task, &mut figures, error)
        })?;
        Ok(figures)
    }
}
