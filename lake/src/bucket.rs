//! A lake in a bucket of an S3-compatible store.
//!
//! In: a location `s3://BUCKET/PREFIX` and, from the environment, what AWS's own tools read there: keys, region, endpoint.
//! Out: a store whose root is the prefix, and failures as lines that say what to do. A commit is a put that the store
//! must refuse when the name is taken (`If-None-Match: *`); one that does not would let two writers overwrite each
//! other, so `check_refusal` tries it before anything is written.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::path::Path as StorePath;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, ObjectStoreExt, PutMode, RetryConfig};
use url::Url;
use uuid::Uuid;

use crate::error::LakeError;
use crate::requests::{Counting, Requests};
use crate::store::STAGING;

/// How often a request that was throttled, timed out or got no connection is tried again.
const RETRIES_MAX: usize = 8;
/// The wait before the first of these, about; each next one is longer.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest of these waits.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// After this long a request is not tried again. Whoever can wait longer asks anew: the writer does for minutes, a
/// command at a terminal does not.
const RETRY_TIME_MAX: Duration = Duration::from_secs(20);

/// How many puts under one name are tried at once: a store that only looks whether the name is free and then writes
/// lets several of them through.
const PUTS_AT_ONCE: usize = 4;

/// The scheme of locations in a bucket.
const SCHEME: &str = "s3";

/// Where a lake lies in a bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    name: String,
    prefix: StorePath,
    /// The location, ending in a slash.
    pub(crate) url: Url,
}

impl Bucket {
    /// What a location says; `None` when it is not one in a bucket.
    ///
    /// # Errors
    /// `Invalid` when it names no bucket, or says more than bucket and prefix.
    pub(crate) fn parse(location: &str) -> Result<Option<Bucket>, LakeError> {
        if !location.starts_with("s3://") {
            return Ok(None);
        }
        // What stands before an @ may be a key, so the location is not repeated.
        let wrong =
            |what: &str| LakeError::Invalid(format!("the location of the lake {what}; write s3://BUCKET/PREFIX"));
        let url = Url::parse(location).map_err(|error| wrong(&format!("is no URL ({error})")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("holds a key, which belongs into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
        }
        let name = url.host_str().filter(|name| !name.is_empty()).ok_or_else(|| wrong("names no bucket"))?;
        if url.port().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("says more than bucket and prefix"));
        }
        let prefix = StorePath::from_url_path(url.path())
            .map_err(|error| wrong(&format!("has a prefix that cannot be ({error})")))?;
        let end = if prefix.as_ref().is_empty() { String::new() } else { format!("{prefix}/") };
        let url = Url::parse(&format!("{SCHEME}://{name}/{end}")).map_err(|error| wrong(&error.to_string()))?;
        Ok(Some(Bucket { name: name.to_owned(), prefix, url }))
    }

    /// The store whose root is the prefix, and the counts of its requests; nothing is asked of it yet.
    ///
    /// # Errors
    /// `Invalid` when the environment's settings cannot be.
    pub(crate) fn connect(&self) -> Result<(Arc<dyn ObjectStore>, Arc<Requests>), LakeError> {
        let settings = AmazonS3Builder::from_env();
        if let Some(endpoint) = plain_endpoint(&settings) {
            return Err(LakeError::Invalid(format!(
                "the endpoint {endpoint} is plain http; set AWS_ALLOW_HTTP=true to have it so, or name an https one"
            )));
        }
        let backoff = BackoffConfig { init_backoff: BACKOFF_MIN, max_backoff: BACKOFF_MAX, ..BackoffConfig::default() };
        let retry = RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_TIME_MAX };
        let requests = Arc::<Requests>::default();
        let store: AmazonS3 = settings
            .with_http_connector(Counting(requests.clone()))
            .with_bucket_name(&self.name)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_retry(retry)
            .build()
            .map_err(|error| LakeError::Invalid(format!("the settings of the store do not fit: {error}")))?;
        Ok((Arc::new(PrefixStore::new(store, self.prefix.clone())), requests))
    }
}

/// The endpoint, when it is without TLS and that was not asked for.
fn plain_endpoint(settings: &AmazonS3Builder) -> Option<String> {
    let asked = settings.get_config_value(&AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
    let is_allowed =
        asked.is_some_and(|asked| matches!(asked.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on"));
    let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
    let endpoint = endpoint.iter().find_map(|key| settings.get_config_value(key))?;
    (endpoint.starts_with("http://") && !is_allowed).then_some(endpoint)
}

/// Whether the store refuses a put under a name that is taken, when that is asked for: of some at once and one
/// afterwards at most one may win.
///
/// # Errors
/// `Invalid` when several win; otherwise those of a put.
pub(crate) async fn check_refusal(objects: &dyn ObjectStore, url: &Url) -> Result<(), LakeError> {
    let path = StorePath::from(format!("{STAGING}/{}", Uuid::new_v4()));
    let put = async |_| objects.put_opts(&path, "taken".into(), PutMode::Create.into()).await;
    let mut answers = join_all((0..PUTS_AT_ONCE).map(put)).await;
    answers.push(put(PUTS_AT_ONCE).await);
    let mut winners = 0;
    let mut failure = None;
    for answer in answers {
        match answer {
            Ok(_) => winners += 1,
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if winners > 0 {
        // Litter is removed by upkeep, so it is no reason not to go on.
        let _ = objects.delete(&path).await;
    }
    match failure {
        _ if winners > 1 => Err(LakeError::Invalid(format!(
            "the store at {url} does not refuse to overwrite an object when it is asked to (If-None-Match), so writers would \
             destroy each other's commits; keep the lake in a store that does, or in a local folder"
        ))),
        Some(error) => Err(failed(&format!("write to {url}"), &error)),
        None => Ok(()),
    }
}

/// A failure of a store that is reached over HTTP, as a line that says what to do. What the store answered may quote the
/// request that we signed, so only its code and its message are told.
pub(crate) fn failed(action: &str, error: &object_store::Error) -> LakeError {
    let text = error.to_string();
    let code = element(&text, "Code");
    let forbidden = "no permission; let this key list the bucket and read, write and delete its objects";
    let why = match code {
        Some("NoSuchBucket") => {
            return LakeError::Invalid(format!(
                "cannot {action}: there is no such bucket; create it, or correct the location of the lake"
            ));
        }
        Some(code @ ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken")) => format!(
            "the store does not accept our key ({code}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and \
             AWS_SESSION_TOKEN"
        ),
        Some("AccessDenied" | "AllAccessDisabled") => forbidden.to_owned(),
        Some(code @ ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")) => {
            format!("the bucket is in another region ({code}); set AWS_REGION")
        }
        Some(code @ ("SlowDown" | "RequestLimitExceeded" | "Throttling")) => {
            format!("the store asks for fewer requests ({code}); try again later")
        }
        Some(code) => format!("the store answers {code}: {}", element(&text, "Message").unwrap_or("without a reason")),
        None if text.contains("redirect without LOCATION") => {
            "the bucket is in another region; set AWS_REGION".to_owned()
        }
        None if text.contains("169.254.169.254") => {
            "there is no key for the store; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned()
        }
        None => match error {
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                forbidden.to_owned()
            }
            _ => {
                format!("no answer from the store ({}); check AWS_ENDPOINT_URL and that it can be reached", root(error))
            }
        },
    };
    LakeError::Unavailable(format!("cannot {action}: {why}"))
}

/// What an element of an answer in XML holds.
fn element<'text>(text: &'text str, name: &str) -> Option<&'text str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0)
}

/// The first cause of an error.
fn root(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::tests::faulty::{Fault, Faulty};

    #[test]
    fn a_location_names_a_bucket_and_a_prefix() {
        let parsed = |location: &str| {
            let bucket = Bucket::parse(location).expect(location).expect("a bucket");
            (bucket.name, bucket.prefix.to_string(), bucket.url.to_string())
        };
        let whole = |name: &str, prefix: &str, url: &str| (name.to_owned(), prefix.to_owned(), url.to_owned());
        assert_eq!(parsed("s3://lakes"), whole("lakes", "", "s3://lakes/"));
        assert_eq!(parsed("s3://lakes/"), whole("lakes", "", "s3://lakes/"));
        assert_eq!(parsed("s3://lakes/of/acme/"), whole("lakes", "of/acme", "s3://lakes/of/acme/"));
        assert!(matches!(Bucket::parse("plimsoll-lake"), Ok(None)));
        for wrong in
            ["s3://", "s3:///prefix", "s3://bucket/x?region=eu", "s3://key:secret@bucket/x", "s3://bucket/a//b"]
        {
            let error = Bucket::parse(wrong).expect_err(wrong).to_string();
            assert!(error.contains("write s3://BUCKET/PREFIX") && !error.contains("secret@"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_failure_says_what_to_do_and_not_what_was_signed() {
        let answered = |body: &str| object_store::Error::Generic { store: "S3", source: body.into() };
        let told = |body: &str| failed("read x", &answered(body)).to_string();
        let body = "403: <Error><Code>SignatureDoesNotMatch</Code><StringToSign>AWS4 hush</StringToSign></Error>";
        assert!(told(body).contains("check AWS_ACCESS_KEY_ID") && !told(body).contains("hush"), "{}", told(body));
        assert!(told("<Code>AccessDenied</Code>").contains("no permission"));
        let missing = failed("read x", &answered("<Code>NoSuchBucket</Code>"));
        assert!(matches!(&missing, LakeError::Invalid(line) if line.contains("create it")), "{missing}");
        let other = told("<Code>EntityTooLarge</Code><Message>at most 5 GB</Message>");
        assert_eq!(other, "cannot read x: the store answers EntityTooLarge: at most 5 GB");
        assert!(told("error sending request").contains("no answer from the store (error sending request)"));
    }

    #[tokio::test]
    async fn a_store_that_overwrites_is_refused() {
        let url = Url::parse("memory:///").expect("a URL");
        check_refusal(&InMemory::new(), &url).await.expect("a store that refuses");
        let error = check_refusal(&Faulty::new(|_| Fault::Overwrites), &url).await.expect_err("several winners");
        assert!(matches!(&error, LakeError::Invalid(line) if line.contains("If-None-Match")), "{error}");
    }
}
