//! Counts of the requests to a bucket, by how they ended. The store's client tries again by itself what was throttled
//! or failed, so that nobody would hear of it otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// The answer of a server that asks for fewer requests; S3 gives `UNAVAILABLE` for it.
const TOO_MANY_REQUESTS: u16 = 429;
/// See `TOO_MANY_REQUESTS`.
const UNAVAILABLE: u16 = 503;

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
        let answer = self.client.execute(request).await;
        self.requests.count(answer.as_ref().ok().map(|answer| answer.status().as_u16()));
        answer
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
