//! Footers of files, with the page index, kept from one question to the next.
//!
//! A scan asks for a footer without the index, and reads the index by itself when a filter wants it, each time anew: for a
//! question about a handful of rows that is most of the work. Here the first who opens a file gets both, and both stay.
//!
//! Files in a local folder are read where they are asked for: to hand a read to another thread and to wait for it there
//! takes longer than to read what the system has in memory, and the threads of questions do nothing else.

use std::fs::File;
use std::future::ready;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetFileReaderFactory};
use datafusion::error::Result;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::Result as ParquetResult;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::BoxFuture;

/// Opens files whose footers are kept.
#[derive(Debug)]
pub(crate) struct Footers {
    /// Keeps them.
    pub(crate) kept: CachedParquetFileReaderFactory,
    /// Where the files lie, when that is a local folder.
    pub(crate) folder: Option<PathBuf>,
}

impl ParquetFileReaderFactory for Footers {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let path = self.folder.as_ref().map(|folder| folder.join(file.object_meta.location.as_ref()));
        Ok(Box::new(Indexed { file: self.kept.create_reader(partition, file, metadata_size_hint, metrics)?, path }))
    }
}

/// A file whose page index comes with its footer.
struct Indexed {
    file: Box<dyn AsyncFileReader + Send>,
    path: Option<PathBuf>,
}

impl Indexed {
    /// What a local file has in these ranges; `None` when they cannot be read there, which the store then explains.
    fn local(&self, ranges: &[Range<u64>]) -> Option<Vec<Bytes>> {
        let mut file = File::open(self.path.as_ref()?).ok()?;
        let size = file.metadata().ok()?.len();
        let read = |range: &Range<u64>| {
            let length = usize::try_from(range.end.min(size).checked_sub(range.start)?).ok()?;
            let mut bytes = vec![0; length];
            file.seek(SeekFrom::Start(range.start)).ok()?;
            file.read_exact(&mut bytes).ok()?;
            (range.end <= size).then(|| bytes.into())
        };
        ranges.iter().map(read).collect()
    }
}

impl AsyncFileReader for Indexed {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        match self.local(std::slice::from_ref(&range)).and_then(|mut bytes| bytes.pop()) {
            Some(bytes) => Box::pin(ready(Ok(bytes))),
            None => self.file.get_bytes(range),
        }
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        match self.local(&ranges) {
            Some(bytes) => Box::pin(ready(Ok(bytes))),
            None => self.file.get_byte_ranges(ranges),
        }
    }

    fn get_metadata<'own>(
        &'own mut self,
        options: Option<&'own ArrowReaderOptions>,
    ) -> BoxFuture<'own, ParquetResult<Arc<ParquetMetaData>>> {
        let options = options.cloned().unwrap_or_default().with_page_index_policy(PageIndexPolicy::Optional);
        Box::pin(async move { self.file.get_metadata(Some(&options)).await })
    }
}
