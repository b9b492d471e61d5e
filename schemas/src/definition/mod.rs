//! Definitions: what the provider promises, as text in files and as checked values.

pub mod model;
pub mod source;

pub use model::*;
