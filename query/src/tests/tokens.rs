//! Who asks over HTTP, without a network.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use axum::routing::get;
use tower::ServiceExt;

use super::*;
use crate::{Grant, More, Scope, Users, guard, router};

/// The doors, those that a process adds, and the tokens of a reader of everything, of a reader of one agreement, and of a
/// monitor.
async fn doors() -> (TempDir, Router, [String; 3]) {
    let (folder, _lake, service) = service(limits()).await;
    let acme = Grant { agreements: ["acme".to_owned()].into(), ..Grant::default() };
    let monitor = Grant { scopes: [Scope::Metrics].into(), ..Grant::default() };
    let drawn = [("ana", Grant::default()), ("acme", acme), ("prometheus", monitor)]
        .map(|(name, grant)| Users::with_token(name, grant).expect("a token"));
    let text: Vec<&str> = drawn.iter().map(|(_, line)| line.as_str()).collect();
    let users = Arc::new(Users::parse(&text.join("\n")).expect("users"));
    let doors = router(service, Arc::new(|| Ok(())), More::default())
        .merge(Router::new().route("/metrics", get(|| async { "plimsoll" })));
    let doors = doors.merge(Router::new().route("/v1/definitions", get(|| async { "all of them" })));
    (folder, guard(doors, users), drawn.map(|(token, _)| token))
}

async fn ask_with(doors: &Router, address: &str, authorization: Option<&str>) -> Response<Body> {
    let request = Request::get(address);
    let request = match authorization {
        Some(value) => request.header(header::AUTHORIZATION, value),
        None => request,
    };
    doors.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_what_it_is_granted_for_and_nothing_else() {
    let (_folder, doors, [ana, acme, prometheus]) = doors().await;
    let bearer = |token: &str| format!("Bearer {token}");
    let (nobody, lower) = (bearer(&format!("{ana}x")), format!("bearer {ana}"));
    let cases = [
        ("/v1/attainment", None, 401, Some("Bearer realm=\"plimsoll\"")),
        ("/v1/attainment", Some(nobody.as_str()), 401, Some("Bearer realm=\"plimsoll\", error=\"invalid_token\"")),
        ("/v1/attainment", Some("Basic YW5hOnBlbmNpbA=="), 401, Some("Bearer realm=\"plimsoll\"")),
        ("/v1/attainment", Some("Bearer"), 401, Some("Bearer realm=\"plimsoll\"")),
        ("/v1/attainment", Some(&bearer(&ana)), 200, None),
        ("/v1/attainment", Some(&lower), 200, None),
        ("/v1/attainment", Some(&bearer(&acme)), 200, None),
        (
            "/v1/attainment",
            Some(&bearer(&prometheus)),
            403,
            Some("Bearer realm=\"plimsoll\", error=\"insufficient_scope\", scope=\"read\""),
        ),
        ("/metrics", Some(&bearer(&prometheus)), 200, None),
        (
            "/metrics",
            Some(&bearer(&acme)),
            403,
            Some("Bearer realm=\"plimsoll\", error=\"insufficient_scope\", scope=\"metrics\""),
        ),
        (
            "/v1/definitions",
            Some(&bearer(&ana)),
            403,
            Some("Bearer realm=\"plimsoll\", error=\"insufficient_scope\", scope=\"definitions\""),
        ),
        ("/v1/nowhere", None, 401, Some("Bearer realm=\"plimsoll\"")),
        ("/v1/nowhere", Some(&bearer(&ana)), 404, None),
        ("/healthz", None, 200, None),
        ("/readyz", None, 200, None),
        ("/", None, 200, None),
    ];
    for (address, authorization, status, challenge) in cases {
        let response = ask_with(&doors, address, authorization).await;
        assert_eq!(response.status(), StatusCode::from_u16(status).expect("a status"), "{address} {authorization:?}");
        let told =
            response.headers().get(header::WWW_AUTHENTICATE).map(|value| value.to_str().expect("text").to_owned());
        assert_eq!(told.as_deref(), challenge, "{address} {authorization:?}");
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        let body = String::from_utf8(body.to_vec()).expect("UTF-8");
        assert!(!body.contains("plimsoll_") || body.contains("Bearer plimsoll_..."), "no secret in an answer: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_an_agreement_shows_its_rows_through_every_door() {
    let (_folder, doors, [ana, acme, _]) = doors().await;
    for (token, is_beta_seen) in [(ana, true), (acme, false)] {
        let authorization = format!("Bearer {token}");
        let rows = ask_with(&doors, "/v1/attainment", Some(&authorization)).await;
        let statement = Request::post("/v1/sql").header(header::AUTHORIZATION, &authorization);
        let statement = statement.body(Body::from("SELECT agreement FROM attainment ORDER BY 1")).expect("a request");
        let over_sql = doors.clone().oneshot(statement).await.expect("infallible");
        let trend = ask_with(&doors, "/v1/trend?window_kind=month&from=2026-02-01", Some(&authorization)).await;
        let mut bodies = Vec::new();
        for response in [rows, over_sql, trend] {
            assert_eq!(response.status(), StatusCode::OK);
            let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
            bodies.push(String::from_utf8(body.to_vec()).expect("UTF-8"));
        }
        assert!(
            bodies[..2].iter().all(|body| body.contains("acme") && body.contains("beta") == is_beta_seen),
            "{bodies:?}"
        );
        // In February there is one result of each agreement.
        let counted = format!("\"attainment_count\":{}", if is_beta_seen { 2 } else { 1 });
        assert!(bodies[2].contains(&counted), "{}", bodies[2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_to_wait() {
    let (_folder, _lake, service) = service(limits()).await;
    let (token, line) = Users::with_token("ana", Grant::default()).expect("a token");
    let users = Users::parse(&line.replace('}', r#","requests_per_second":2}"#)).expect("users");
    let doors = guard(router(service, Arc::new(|| Ok(())), More::default()), Arc::new(users));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let response = ask_with(&doors, "/v1/nowhere", Some(&format!("Bearer {token}"))).await;
        let again = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().expect("text").to_owned());
        statuses.push((response.status().as_u16(), again));
    }
    assert_eq!(statuses, [(404, None), (404, None), (429, Some("1".to_owned()))]);
}
