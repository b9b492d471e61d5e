//! Answers that are given again.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use tower::ServiceExt;

use super::*;
use crate::{Grant, More, Users, guard, router};

async fn get(doors: &Router, address: &str, headers: &[(header::HeaderName, &str)]) -> (StatusCode, String, String) {
    let mut request = Request::get(address);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let response = doors.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible");
    let (status, tag) = (response.status(), response.headers().get(header::ETAG).cloned());
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    let tag = tag.map_or(String::new(), |tag| tag.to_str().expect("text").to_owned());
    (status, tag, String::from_utf8(body.to_vec()).expect("UTF-8").trim_end().to_owned())
}

fn questions(service: &QueryService) -> String {
    let metrics = service.metrics();
    let found = metrics.lines().find_map(|line| line.strip_prefix("plimsoll_query_requests_total "));
    found.expect("a number").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_given_again_until_its_table_changes() {
    let (_folder, lake, service) = service(limits()).await;
    let doors = router(service.clone(), Arc::new(|| Ok(())), More::default());
    let address = "/v1/outages?fields=service,started_at&service=web";
    let first = get(&doors, address, &[]).await;
    assert_eq!(first.2, r#"[{"service":"web","started_at":"2026-01-10T10:00:00Z"}]"#);
    assert_eq!(get(&doors, address, &[]).await, first);
    let known = get(&doors, address, &[(header::IF_NONE_MATCH, &first.1)]).await;
    assert_eq!(known, (StatusCode::NOT_MODIFIED, first.1.clone(), String::new()));
    assert_eq!(questions(&service), "1");

    // Another format, other parameters, and another page are other answers.
    let csv = get(&doors, address, &[(header::ACCEPT, "text/csv")]).await.2;
    assert_eq!(csv, "service,started_at\nweb,2026-01-10T10:00:00Z");
    assert_eq!(get(&doors, "/v1/outages?service=mail", &[]).await.2, "[]");
    assert_eq!(questions(&service), "3");

    // What comes into another table changes nothing; what comes into this one does.
    append(&lake, Table::Corrections, 9, r#"{"reason":"late_event"}"#).await;
    assert_eq!(get(&doors, address, &[]).await, first);
    assert_eq!(questions(&service), "3");
    append(&lake, Table::Outages, 9, r#"{"service":"web","started_at":"2026-01-12T10:00:00Z","revision":0}"#).await;
    let both = get(&doors, address, &[]).await.2;
    assert_eq!(
        both,
        r#"[{"service":"web","started_at":"2026-01-12T10:00:00Z"},{"service":"web","started_at":"2026-01-10T10:00:00Z"}]"#
    );
    assert_eq!(questions(&service), "4");

    // What was wrong is wrong again, and not kept.
    for _ in 0..2 {
        assert_eq!(get(&doors, "/v1/outages?fields=colour", &[]).await.0, StatusCode::BAD_REQUEST);
    }
    // What was known earlier depends on when epochs were committed, too.
    append(&lake, Table::Epochs, 1, r#"{"tick":"2026-03-01T00:00:00Z"}"#).await;
    let earlier = "/v1/outages?known_at=2026-03-02&fields=started_at";
    let then = get(&doors, earlier, &[]).await.2;
    assert_eq!(then.matches("started_at").count(), 2);
    append(&lake, Table::Epochs, 2, r#"{"tick":"2026-03-01T12:00:00Z"}"#).await;
    assert_eq!(get(&doors, earlier, &[]).await.2.matches("started_at").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sees_other_rows_is_given_other_answers() {
    let (_folder, _lake, service) = service(limits()).await;
    let one = |agreement: &str| Grant { agreements: [agreement.to_owned()].into(), ..Grant::default() };
    let drawn = [("all", Grant::default()), ("acme", one("acme")), ("beta", one("beta"))]
        .map(|(name, grant)| Users::with_token(name, grant).expect("a token"));
    let text: Vec<&str> = drawn.iter().map(|(_, line)| line.as_str()).collect();
    let users = Arc::new(Users::parse(&text.join("\n")).expect("users"));
    let doors = guard(router(service, Arc::new(|| Ok(())), More::default()), users);
    for _ in 0..2 {
        for ((token, _), seen) in drawn.iter().zip([&["acme", "beta"][..], &["acme"], &["beta"]]) {
            let bearer = format!("Bearer {token}");
            let address = "/v1/attainment?fields=agreement&until=2026-02-01&sort=agreement";
            let told = get(&doors, address, &[(header::AUTHORIZATION, &bearer)]).await.2;
            let rows: Vec<String> = seen.iter().map(|agreement| format!(r#"{{"agreement":"{agreement}"}}"#)).collect();
            assert_eq!(told, format!("[{}]", rows.join(",")));
        }
    }
}
