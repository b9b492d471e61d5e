//! A store in memory whose puts go wrong as a test says.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What becomes of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is done and told.
    None,
    /// It is not done.
    Refused(std::io::ErrorKind),
    /// It is done, and told to have failed.
    AnswerLost,
    /// It is done, told to have failed, and tried again below us: so the name is taken.
    TriedTwice,
    /// It is done, whoever had the name.
    Overwrites,
}

/// By the path of a put.
type Rule = Arc<dyn Fn(&str) -> Fault + Send + Sync>;

#[derive(Clone)]
pub struct Faulty {
    objects: Arc<InMemory>,
    rule: Rule,
}

impl Faulty {
    /// A store of its own.
    pub fn new(rule: impl Fn(&str) -> Fault + Send + Sync + 'static) -> Faulty {
        Faulty { objects: Arc::new(InMemory::new()), rule: Arc::new(rule) }
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Faulty")
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Faulty")
    }
}

fn error(kind: std::io::ErrorKind) -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: Box::new(std::io::Error::from(kind)) }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        let fault = (self.rule)(location.as_ref());
        match fault {
            Fault::Refused(kind) => return Err(error(kind)),
            Fault::Overwrites => options.mode = PutMode::Overwrite,
            _ => {}
        }
        let again = options.clone();
        let done = self.objects.put_opts(location, payload.clone(), options).await?;
        match fault {
            Fault::AnswerLost => Err(error(std::io::ErrorKind::TimedOut)),
            Fault::TriedTwice => self.objects.put_opts(location, payload, again).await,
            _ => Ok(done),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.objects.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}
