//! Definitions as they are kept beside what was computed under them: the names and texts of their files.

use super::{Definitions, File, Problem, load};

impl Definitions {
    /// What `from_record` reads.
    ///
    /// # Errors
    /// When the texts cannot be written as JSON, which is a defect.
    pub fn to_record(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(&self.texts).map_err(|error| error.to_string())
    }

    /// The definitions of a record.
    ///
    /// # Errors
    /// When it is none, or its texts have a problem for this version: the first of them.
    pub fn from_record(record: &[u8]) -> Result<Definitions, String> {
        let texts: Vec<(String, String)> = serde_json::from_slice(record).map_err(|error| error.to_string())?;
        let files: Vec<File<'_>> = texts.iter().map(|(name, text)| File { name, text }).collect();
        load(&files).map_err(|problems| problems.first().map_or_else(String::new, Problem::to_string))
    }
}
