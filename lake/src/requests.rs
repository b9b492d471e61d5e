//! How requests to a bucket end. The store's client tries again by itself what was throttled or failed, so it is counted
//! here, for nobody would hear of it otherwise; and an answer that ends in the middle is made a failure of its request, for
//! the client reads the end of it when it is past trying again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    ReqwestConnector,
};

/// The answer of a server that asks for fewer requests; S3 gives `UNAVAILABLE` for it.
const TOO_MANY_REQUESTS: u16 = 429;
/// See `TOO_MANY_REQUESTS`.
const UNAVAILABLE: u16 = 503;

/// The longest answer that is awaited as a whole, in bytes: logs, saved states, footers and most row groups.
const WHOLE_BYTES_MAX: u64 = 8 << 20;

/// How many requests ended how, since the start. A request that is tried again counts again.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    answered: AtomicU64,
    throttled: AtomicU64,
    failed: AtomicU64,
}

impl Requests {
    /// The count of each outcome.
    pub(crate) fn outcomes(&self) -> [(&'static str, u64); 3] {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [("answered", count(&self.answered)), ("failed", count(&self.failed)), ("throttled", count(&self.throttled))]
    }

    fn count(&self, status: Option<u16>) {
        let counter = match status {
            Some(TOO_MANY_REQUESTS | UNAVAILABLE) => &self.throttled,
            None | Some(500..) => &self.failed,
            Some(_) => &self.answered,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes clients whose requests are counted.
#[derive(Debug)]
pub(crate) struct Counting(pub(crate) Arc<Requests>);

impl HttpConnector for Counting {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(CountingClient { client, requests: self.0.clone() }))
    }
}

#[derive(Debug)]
struct CountingClient {
    client: HttpClient,
    requests: Arc<Requests>,
}

#[async_trait]
impl HttpService for CountingClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = match self.client.execute(request).await {
            Ok(answer) => whole(answer).await,
            Err(error) => Err(error),
        };
        self.requests.count(answer.as_ref().ok().map(|answer| answer.status().as_u16()));
        answer
    }
}

/// The answer once all of it is there; one that is too long comes as it came.
async fn whole(answer: HttpResponse) -> Result<HttpResponse, HttpError> {
    let length = answer.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > WHOLE_BYTES_MAX) {
        return Ok(answer);
    }
    let (head, body) = answer.into_parts();
    match body.bytes().await {
        Ok(body) => Ok(HttpResponse::from_parts(head, HttpResponseBody::from(body))),
        Err(error) => Err(HttpError::new(HttpErrorKind::Interrupted, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_by_its_status_and_none_as_a_failure() {
        let requests = Requests::default();
        // A name that is taken (412) and one that is free (404) are answers.
        for status in
            [200, 404, 412, 403].map(Some).into_iter().chain([Some(429), Some(503), Some(500), Some(504), None])
        {
            requests.count(status);
        }
        assert_eq!(requests.outcomes(), [("answered", 4), ("failed", 3), ("throttled", 2)]);
    }
}
