//! The place where the lake lies: a local folder, or a bucket (see `bucket`) through the same `object_store` interface.
//!
//! In: a location as the operator writes it; bytes to keep. Out: bytes; a put of which every part is on the disk
//! before it returns. `object_store` itself never calls `fsync`, so a loss of power could leave a log entry without
//! its data file, or an empty log entry; for local folders this module adds the calls.

use std::collections::HashSet;
use std::error::Error;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode};
use url::Url;
use uuid::Uuid;

use crate::bucket::{self, Bucket, check_refusal};
use crate::error::LakeError;
use crate::requests::Requests;

/// What errors of stores that are asked over HTTP have in common.
const OVER_HTTP: &str = "Error performing ";

/// Where a new file lies until it is complete and may take its name.
pub(crate) const STAGING: &str = "_plimsoll/staging";

/// The root of a lake.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// Its URL, ending in a slash.
    pub(crate) url: Url,
    /// The disk below, when the lake lies in a local folder.
    disk: Option<Arc<Disk>>,
    /// How requests ended, when it lies in a bucket.
    pub(crate) requests: Option<Arc<Requests>>,
}

/// A local folder, and which of the folders in it are known to be on the disk themselves.
#[derive(Debug)]
struct Disk {
    folder: PathBuf,
    durable: Mutex<HashSet<PathBuf>>,
}

impl Store {
    /// A store that sees to durability by itself.
    pub(crate) fn on(objects: Arc<dyn ObjectStore>, url: Url) -> Store {
        Store { objects, url, disk: None, requests: None }
    }

    /// The store at a path, a `file://` URL or `s3://BUCKET/PREFIX`. With `create`, the folder is made when it is missing,
    /// and it is made sure that a bucket lets no two writers take one name.
    ///
    /// # Errors
    /// `Invalid` for another scheme, a file, a missing folder or bucket, or a bucket where commits would not be safe;
    /// `Unavailable` when the folder cannot be made or the bucket cannot be reached.
    pub(crate) async fn open(location: &str, create: bool) -> Result<Store, LakeError> {
        if let Some(bucket) = Bucket::parse(location)? {
            let (objects, requests) = bucket.connect()?;
            let store = Store { requests: Some(requests), ..Store::on(objects, bucket.url) };
            if create {
                check_refusal(store.objects.as_ref(), &store.url).await?;
            }
            return Ok(store);
        }
        let folder = local_folder(location)?;
        if folder.is_file() {
            return Err(LakeError::Invalid(format!("{} is a file; name a folder for the lake", folder.display())));
        }
        if create {
            std::fs::create_dir_all(&folder)
                .map_err(|error| unavailable(&format!("create the folder {}", folder.display()), &error, &error))?;
        } else if !folder.is_dir() {
            return Err(no_lake(location));
        }
        let folder = folder
            .canonicalize()
            .map_err(|error| unavailable(&format!("open the folder {}", folder.display()), &error, &error))?;
        let url = Url::from_directory_path(&folder)
            .map_err(|()| LakeError::Invalid(format!("{} cannot be written as a URL", folder.display())))?;
        let objects = LocalFileSystem::new_with_prefix(&folder)
            .map_err(|error| failed(&format!("open the folder {}", folder.display()), &error))?;
        let durable = Mutex::new(HashSet::from([folder.clone()]));
        let disk = Some(Arc::new(Disk { folder, durable }));
        Ok(Store { disk, ..Store::on(Arc::new(objects), url) })
    }

    /// The bytes at a path; `None` when nothing is there.
    pub(crate) async fn get(&self, path: &StorePath) -> Result<Option<Bytes>, LakeError> {
        let read = async { self.objects.get(path).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(&format!("read {path}"), &error)),
        }
    }

    /// Everything below a folder, whose path sorts after `after` when that is given; in the order of the paths.
    pub(crate) async fn list(
        &self,
        folder: &StorePath,
        after: Option<&StorePath>,
    ) -> Result<Vec<ObjectMeta>, LakeError> {
        let found = match after {
            Some(after) => self.objects.list_with_offset(Some(folder), after),
            None => self.objects.list(Some(folder)),
        };
        let mut found: Vec<_> =
            found.try_collect().await.map_err(|error| failed(&format!("list the folder {folder}"), &error))?;
        found.sort_by(|one, other| one.location.cmp(&other.location));
        Ok(found)
    }

    /// Writes a whole file, in place of an older one of that name. A reader sees the old one or the new one, also after a
    /// loss of power.
    pub(crate) async fn put(&self, path: &StorePath, bytes: Bytes) -> Result<(), LakeError> {
        let result = match self.stage(path, &bytes).await? {
            Some(staging) => self.unless_renamed(&staging, self.objects.rename(&staging, path).await).await?,
            None => self.objects.put(path, bytes.into()).await.map(drop),
        };
        result.map_err(|error| failed(&format!("write {path}"), &error))?;
        self.on_disk(path, Disk::sync_name).await
    }

    /// Writes a whole file if the name is free; false when it is taken. Of several writers exactly one gets true.
    pub(crate) async fn put_if_absent(&self, path: &StorePath, bytes: Bytes) -> Result<bool, LakeError> {
        let result = match self.stage(path, &bytes).await? {
            Some(staging) => {
                let result = self.objects.rename_if_not_exists(&staging, path).await;
                self.unless_renamed(&staging, result).await?
            }
            None => self.objects.put_opts(path, bytes.into(), PutMode::Create.into()).await.map(drop),
        };
        match result {
            Ok(()) => self.on_disk(path, Disk::sync_name).await.map(|()| true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(failed(&format!("write {path}"), &error)),
        }
    }

    /// Writes what is to be at a path beside it, on a local disk: the bytes reach the disk before the name does, so a name
    /// never stands for half a file. Object stores see to that by themselves.
    async fn stage(&self, path: &StorePath, bytes: &Bytes) -> Result<Option<StorePath>, LakeError> {
        if self.disk.is_none() {
            return Ok(None);
        }
        let staging = StorePath::from(format!("{STAGING}/{}", Uuid::new_v4()));
        let staged = self.objects.put(&staging, bytes.clone().into()).await;
        staged.map_err(|error| failed(&format!("write {path}"), &error))?;
        self.on_disk(&staging, Disk::sync_file).await?;
        Ok(Some(staging))
    }

    /// Removes what was staged and did not get its name.
    async fn unless_renamed(
        &self,
        staging: &StorePath,
        renamed: object_store::Result<()>,
    ) -> Result<object_store::Result<()>, LakeError> {
        if renamed.is_err() {
            self.delete(staging).await?;
        }
        Ok(renamed)
    }

    /// Makes sure that a name which is there stays after a loss of power, when the put that made it may have failed just
    /// before it had.
    pub(crate) async fn settle(&self, path: &StorePath) -> Result<(), LakeError> {
        self.on_disk(path, Disk::sync_name).await
    }

    /// Removes a file; one that is gone already is no error.
    pub(crate) async fn delete(&self, path: &StorePath) -> Result<(), LakeError> {
        match self.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(&format!("delete {path}"), &error)),
        }
    }

    /// Waits until the disk has done a step for a file; object stores wait by themselves.
    async fn on_disk(&self, path: &StorePath, step: fn(&Disk, &Path) -> io::Result<()>) -> Result<(), LakeError> {
        let Some(disk) = self.disk.clone() else { return Ok(()) };
        let file = disk.folder.join(path.as_ref());
        match tokio::task::spawn_blocking(move || step(&disk, &file)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(unavailable(&format!("write {path} to the disk"), &error, &error)),
            Err(error) => Err(LakeError::Internal(format!("writing {path} to the disk was aborted: {error}"))),
        }
    }
}

impl Disk {
    /// A file's bytes reach the disk.
    fn sync_file(&self, file: &Path) -> io::Result<()> {
        File::open(file)?.sync_all()
    }

    /// A file's name reaches the disk, and so do the names of the folders that lead to it.
    fn sync_name(&self, file: &Path) -> io::Result<()> {
        // Only Unix opens folders as files; elsewhere the file system sees to names.
        if !cfg!(unix) {
            return Ok(());
        }
        for folder in file.ancestors().skip(1) {
            File::open(folder)?.sync_all()?;
            if !self.durable.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned()) {
                break;
            }
        }
        Ok(())
    }
}

/// The error for a place where no lake is.
pub(crate) fn no_lake(location: &str) -> LakeError {
    LakeError::Invalid(format!(
        "there is no lake at {location}; check the path, or let `plimsoll run` or `plimsoll aggregate` make one"
    ))
}

pub(crate) fn local_folder(location: &str) -> Result<PathBuf, LakeError> {
    if location.is_empty() {
        return Err(LakeError::Invalid("the location of the lake is empty; name a folder".to_owned()));
    }
    if !location.contains("://") {
        return Ok(PathBuf::from(location));
    }
    let url = Url::parse(location)
        .map_err(|error| LakeError::Invalid(format!("the location {location} is no URL: {error}; name a folder")))?;
    match url.scheme() {
        "file" => url
            .to_file_path()
            .map_err(|()| LakeError::Invalid(format!("the location {location} is no local folder; name one"))),
        scheme => Err(LakeError::Invalid(format!(
            "the location {location} has the scheme {scheme}, which this version cannot store to; name a local folder or \
             s3://BUCKET/PREFIX"
        ))),
    }
}

/// An error of the store, as a line that says what to do.
pub(crate) fn failed(action: &str, error: &object_store::Error) -> LakeError {
    if error.to_string().contains(OVER_HTTP) {
        return bucket::failed(action, error);
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(error_of_system) = current.downcast_ref::<io::Error>() {
            return unavailable(action, error_of_system, error);
        }
        cause = current.source();
    }
    LakeError::Unavailable(format!("cannot {action}: {error}"))
}

fn unavailable(action: &str, error_of_system: &io::Error, whole: &dyn Error) -> LakeError {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    LakeError::Unavailable(match error_of_system.kind() {
        StorageFull | QuotaExceeded => {
            format!("cannot {action}: the disk is full; free some space, nothing is half-written")
        }
        PermissionDenied => {
            format!("cannot {action}: no permission; give the user that runs plimsoll access to the lake's folder")
        }
        ReadOnlyFilesystem => {
            format!("cannot {action}: the file system is read-only; mount it writable or name another folder")
        }
        _ => format!("cannot {action}: {whole}"),
    })
}
