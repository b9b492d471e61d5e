//! Who asks over HTTP: a bearer token (RFC 6750) in front of every door, which says what its user may ask for and how often.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use crate::error::QueryError;
use crate::http::Problem;
use crate::session::QueryService;
use crate::users::{Scope, User, Users};
use crate::visible::not_of_some;

/// Addresses that everybody may look at: whether the process works, and what there is.
const OPEN: [&str; 3] = ["/", "/healthz", "/readyz"];

/// Lets those through to the doors who are among the users.
pub fn guard(doors: Router, users: Arc<Users>) -> Router {
    doors.layer(from_fn_with_state(users, admit))
}

/// Who asks; nobody in particular where there are no users.
pub struct Asker(Option<Arc<User>>);

impl Asker {
    /// The service as they see it.
    pub(super) fn sees(&self, service: &QueryService) -> QueryService {
        service.seen_by(self.0.as_ref().and_then(|user| user.rows.clone()))
    }

    /// Refuses what is not for those who see some agreements only.
    ///
    /// # Errors
    /// `Refused` when they are such a one.
    pub fn check_sees_all(&self, what: &str) -> Result<(), QueryError> {
        match self.0.as_ref().and_then(|user| user.rows.as_ref()) {
            Some(_) => Err(not_of_some(what)),
            None => Ok(()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asker, Infallible> {
        Ok(Asker(parts.extensions.get::<Arc<User>>().cloned()))
    }
}

/// What one has to be granted to be answered at an address; `None` where nothing.
fn scope_of(path: &str) -> Option<Scope> {
    match path {
        path if OPEN.contains(&path) => None,
        "/metrics" => Some(Scope::Metrics),
        "/v1/definitions" => Some(Scope::Definitions),
        _ => Some(Scope::Read),
    }
}

async fn admit(State(users): State<Arc<Users>>, mut request: Request, next: Next) -> Response {
    let Some(scope) = scope_of(request.uri().path()) else { return next.run(request).await };
    let token = bearer(request.headers());
    let Some(user) = token.and_then(|token| users.of_token(token)) else {
        let (detail, challenge) = match token {
            None => ("send a token: Authorization: Bearer plimsoll_...", "Bearer realm=\"plimsoll\""),
            Some(_) => ("nobody has this token", "Bearer realm=\"plimsoll\", error=\"invalid_token\""),
        };
        return told(
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail),
            header::WWW_AUTHENTICATE,
            challenge,
        );
    };
    if !user.scopes.contains(&scope) {
        let scope = scope.as_str();
        let challenge = format!("Bearer realm=\"plimsoll\", error=\"insufficient_scope\", scope=\"{scope}\"");
        let problem = Problem::new(StatusCode::FORBIDDEN, "forbidden", format!("this token has no scope {scope}"));
        return told(problem, header::WWW_AUTHENTICATE, &challenge);
    }
    if let Err(seconds) = user.take_request() {
        let detail = format!("too many requests with this token; ask again after {seconds} s");
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail);
        return told(problem, header::RETRY_AFTER, &seconds.to_string());
    }
    request.extensions_mut().insert(user);
    next.run(request).await
}

/// The token of a request.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn told(problem: Problem, name: header::HeaderName, value: &str) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
    response
}
