//! What of home.h is used here, as C declares it.
#![allow(missing_docs)] // home.h has the comments

use std::os::raw::{c_char, c_void};

#[repr(C)]
pub struct home_model {
    opaque: [u8; 0],
}

#[repr(C)]
pub struct home_error {
    pub struct_size: usize,
    pub status: i32,
    pub message: [c_char; 244],
}

#[repr(C)]
pub struct home_ids {
    pub struct_size: usize,
    pub ids: *const u64,
    pub offsets: *const usize,
    pub count: usize,
    pub weights: *const f32,
}

#[repr(C)]
pub struct home_batch {
    pub struct_size: usize,
    pub rows: usize,
    pub dense: *const f32,
    pub dense_stride: usize,
    pub fields: *const home_ids,
    pub field_count: usize,
}

#[repr(C)]
pub struct home_targets {
    pub struct_size: usize,
    pub labels: *const f32,
    pub label_stride: usize,
    pub row_weights: *const f32,
    pub weights: *const f32,
    pub weight_stride: usize,
    pub total_weights: *const f64,
    pub accumulate: i32,
    pub reserved: i32,
}

#[repr(C)]
pub struct home_create_options {
    pub struct_size: usize,
    pub allocator: *const c_void,
    pub isa: *const c_char,
    pub memory_limit: u64,
}

#[repr(C)]
pub struct home_load_options {
    pub struct_size: usize,
    pub allocator: *const c_void,
    pub isa: *const c_char,
    pub memory_limit: u64,
    pub frozen: i32,
    pub reserved: i32,
}

#[repr(C)]
pub struct home_metrics {
    opaque: [u8; 0],
}

#[repr(C)]
pub struct home_metrics_options {
    pub struct_size: usize,
    pub tasks: usize,
    pub losses: *const i32,
    pub max_bytes: usize,
    pub allocator: *const c_void,
}

#[repr(C)]
pub struct home_metrics_rows {
    pub struct_size: usize,
    pub rows: usize,
    pub predictions: *const f32,
    pub prediction_stride: usize,
    pub labels: *const f32,
    pub label_stride: usize,
    pub users: *const u64,
    pub row_weights: *const f32,
    pub weights: *const f32,
    pub weight_stride: usize,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct home_metric_result {
    pub struct_size: usize,
    pub rows: u64,
    pub no_user_rows: u64,
    pub positives: u64,
    pub weight: f64,
    pub mean_prediction: f64,
    pub mean_label: f64,
    pub calibration: f64,
    pub log_loss: f64,
    pub auc: f64,
    pub auc_error: f64,
    pub gauc: f64,
    pub gauc_error: f64,
    pub gauc_share: f64,
    pub gauc_users: u64,
    pub gauc_rows: u64,
    pub rmse: f64,
    pub mae: f64,
}

pub const HOME_E_ARGUMENT: i32 = 1;
pub const HOME_SAVE_OPTIMIZER: u32 = 1;
pub const HOME_ON: i32 = 1;
pub const HOME_OFF: i32 = 2;

extern "C" {
    pub fn home_model_create_json(
        json: *const c_char,
        length: usize,
        options: *const home_create_options,
        model: *mut *mut home_model,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_load(
        path: *const c_char,
        options: *const home_load_options,
        model: *mut *mut home_model,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_load_memory(
        data: *const c_void,
        size: usize,
        options: *const home_load_options,
        model: *mut *mut home_model,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_serialize(
        model: *const home_model,
        flags: u32,
        buffer: *mut c_void,
        capacity: usize,
        length: *mut usize,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_save(
        model: *const home_model,
        path: *const c_char,
        flags: u32,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_freeze(
        model: *const home_model,
        frozen: *mut *mut home_model,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_release(model: *const home_model);
    pub fn home_model_predict_logits(
        model: *const home_model,
        batch: *const home_batch,
        predictions: *mut f32,
        prediction_stride: usize,
        logits: *mut f32,
        logit_stride: usize,
        workspace: *mut c_void,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_forward(
        model: *mut home_model,
        batch: *const home_batch,
        predictions: *mut f32,
        stride: usize,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_backward(
        model: *mut home_model,
        targets: *const home_targets,
        losses: *mut f32,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_step(model: *mut home_model, error: *mut home_error) -> i32;
    pub fn home_model_set_learning_rate(
        model: *mut home_model,
        rate: f64,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_set_embedding_learning_rate(
        model: *mut home_model,
        rate: f64,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_set_task_weight(
        model: *mut home_model,
        task: usize,
        weight: f64,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_set_norm_momentum(
        model: *mut home_model,
        momentum: f64,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_set_trained(
        model: *mut home_model,
        pattern: *const c_char,
        trained: i32,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_is_frozen(model: *const home_model) -> i32;
    pub fn home_metrics_create(
        options: *const home_metrics_options,
        metrics: *mut *mut home_metrics,
        error: *mut home_error,
    ) -> i32;
    pub fn home_metrics_destroy(metrics: *mut home_metrics);
    pub fn home_metrics_reset(metrics: *mut home_metrics);
    pub fn home_metrics_add(
        metrics: *mut home_metrics,
        rows: *const home_metrics_rows,
        error: *mut home_error,
    ) -> i32;
    pub fn home_metrics_merge(
        into: *mut home_metrics,
        from: *const home_metrics,
        error: *mut home_error,
    ) -> i32;
    pub fn home_metrics_serialize(
        metrics: *const home_metrics,
        buffer: *mut c_void,
        capacity: usize,
        length: *mut usize,
        error: *mut home_error,
    ) -> i32;
    pub fn home_metrics_merge_bytes(
        into: *mut home_metrics,
        bytes: *const c_void,
        size: usize,
        error: *mut home_error,
    ) -> i32;
    pub fn home_metrics_result(
        metrics: *const home_metrics,
        task: usize,
        result: *mut home_metric_result,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_set_threads(
        model: *mut home_model,
        threads: usize,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_dense_width(model: *const home_model) -> usize;
    pub fn home_model_field_count(model: *const home_model) -> usize;
    pub fn home_model_field_name(model: *const home_model, field: usize) -> *const c_char;
    pub fn home_model_task_count(model: *const home_model) -> usize;
    pub fn home_model_task_name(model: *const home_model, task: usize) -> *const c_char;
}
