//! Where a library takes for true what bytes say of themselves, and panics where it is not: that is an error like any
//! other of what is damaged.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_schema::ArrowError;

/// What `read` gives, which may panic over damaged bytes. What panicked must not be used again.
///
/// # Errors
/// Those of `read`; `ArrowError::ParquetError` with the words of the panic.
pub fn guarded<T, E: From<ArrowError>>(read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|panic| Err(ArrowError::ParquetError(words_of(panic.as_ref()).to_owned()).into()))
}

/// What a panic said.
pub fn words_of(panic: &(dyn Any + Send)) -> &str {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it did not say why")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        let read = |length: i64| guarded(|| Ok::<u64, ArrowError>(u64::try_from(length).expect("a length")));
        assert_eq!(read(7).expect("seven"), 7);
        assert!(read(-1).expect_err("a panic").to_string().contains("a length: TryFromIntError"));
        let plain = guarded(|| -> Result<(), ArrowError> { panic!("no length") });
        assert!(plain.expect_err("a panic").to_string().contains("no length"));
    }
}
