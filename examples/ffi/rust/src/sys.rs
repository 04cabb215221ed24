//! What of home.h is used here, as C declares it.

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
    pub ids: *const u64,
    pub offsets: *const usize,
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
}

pub const HOME_E_ARGUMENT: i32 = 1;
pub const HOME_SAVE_OPTIMIZER: u32 = 1;

extern "C" {
    pub fn home_model_create_json(
        json: *const c_char,
        length: usize,
        allocator: *const c_void,
        model: *mut *mut home_model,
        error: *mut home_error,
    ) -> i32;
    pub fn home_model_load(
        path: *const c_char,
        allocator: *const c_void,
        model: *mut *mut home_model,
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
    pub fn home_model_release(model: *mut home_model);
    pub fn home_model_predict(
        model: *const home_model,
        batch: *const home_batch,
        predictions: *mut f32,
        stride: usize,
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
