//! Changes of verdict as they come, without a network.

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, Response, StatusCode, header};
use futures::StreamExt;
use tower::ServiceExt;

use super::*;
use crate::{Grant, More, Users, guard, router};

/// The doors over a lake whose first four epochs are recorded.
async fn doors() -> (TempDir, Lake, Router) {
    let (folder, lake, service) = service(limits()).await;
    append(&lake, Table::Epochs, 4, r#"{"topic":"t","partition":0}"#).await;
    (folder, lake, router(service, Arc::new(|| Ok(())), More::default()))
}

async fn ask_for(doors: &Router, address: &str, headers: &[(header::HeaderName, &str)]) -> Response<Body> {
    let request = headers.iter().fold(Request::get(address), |request, (name, value)| request.header(name, *value));
    doors.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible")
}

/// Reads so many events: what each is called, its id, and what it says.
async fn read(body: &mut BodyDataStream, count: usize) -> Vec<(String, Option<String>, Value)> {
    let (mut text, mut events) = (String::new(), Vec::new());
    while events.len() < count {
        let chunk = body.next().await.expect("more").expect("a chunk");
        text += std::str::from_utf8(&chunk).expect("UTF-8");
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let Some(called) = field("event: ") {
                let data = field("data: ").expect("data");
                let data = serde_json::from_str(&data).unwrap_or(Value::String(data));
                events.push((called, field("id: "), data));
            }
            text = rest.to_owned();
        }
    }
    assert_eq!((events.len(), text.as_str()), (count, ""));
    events
}

/// What an event says of a change: whose it is, the verdict before and that after.
fn change((called, id, row): &(String, Option<String>, Value)) -> [Value; 3] {
    assert_eq!((called.as_str(), id), ("verdict", &None));
    ["agreement", "verdict_before", "verdict"].map(|name| row.get(name).cloned().expect("a column"))
}

fn is_position((called, id, data): &(String, Option<String>, Value), epoch: i64) -> bool {
    called == "position" && *id == Some(epoch.to_string()) && *data == json!(epoch)
}

/// The fifth epoch: of five results one is met as before, one is of another agreement, and one is taken back.
const FIFTH: &str = r#"{"agreement":"acme","service":"web","objective":"availability","window_start":"2026-02-01T00:00:00Z","verdict":"breached","verdict_before":"met","attainment_ratio":"0.123456789"}
{"agreement":"acme","service":"web","objective":"latency","window_start":"2026-02-01T00:00:00Z","verdict":"met","verdict_before":"met"}
{"agreement":"acme","service":"web","objective":"mtrs","window_start":"2026-02-01T00:00:00Z","verdict":"met"}
{"agreement":"acme","service":"web","objective":"scores","window_start":"2026-02-01T00:00:00Z","verdict":"met","verdict_before":"met","retracted":true}
{"agreement":"beta","service":"mail","objective":"availability","window_start":"2026-02-01T00:00:00Z","verdict":"breached","verdict_before":"at_risk"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_each_change_of_a_verdict_once_it_is_committed() {
    let (_folder, lake, doors) = doors().await;
    let response = ask_for(&doors, "/v1/stream?agreement=acme", &[(header::ACCEPT, "text/event-stream")]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut body = response.into_body().into_data_stream();
    assert!(is_position(&read(&mut body, 1).await[0], 4));
    append(&lake, Table::Attainment, 5, FIFTH).await;
    let told = read(&mut body, 4).await;
    let changes: Vec<_> = told[..3].iter().map(change).collect();
    let expected = [["acme", "met", "breached"].map(Value::from), ["acme".into(), Value::Null, "met".into()]];
    assert_eq!(changes, [&expected[..], &[["acme", "met", "met"].map(Value::from)]].concat());
    assert_eq!((&told[0].2["attainment_ratio"], &told[0].2["retracted"]), (&json!(0.123456789), &json!(false)));
    assert_eq!(told[2].2["retracted"], json!(true), "it is taken back");
    assert!(is_position(&told[3], 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_misses_nothing() {
    let (_folder, lake, doors) = doors().await;
    append(&lake, Table::Attainment, 5, FIFTH).await;
    let id = header::HeaderName::from_static("last-event-id");
    let response = ask_for(&doors, "/v1/stream?objective=availability&verdict=breached", &[(id.clone(), "3")]).await;
    let told = read(&mut response.into_body().into_data_stream(), 5).await;
    assert!(is_position(&told[0], 3) && is_position(&told[4], 5));
    let changes: Vec<_> = told[1..4].iter().map(change).collect();
    // Of epoch 4 one, which does not tell what was before, and of epoch 5 two.
    let of_epoch_4 = ["acme".into(), Value::Null, "breached".into()];
    let of_epoch_5 = [["acme", "met", "breached"], ["beta", "at_risk", "breached"]].map(|one| one.map(Value::from));
    assert_eq!(changes, [&[of_epoch_4][..], &of_epoch_5].concat());
    for (id, value) in [(&id, "6"), (&id, "-1"), (&id, "5,5"), (&id, "")] {
        let response = ask_for(&doors, "/v1/stream", &[(id.clone(), value)]).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_has_not_is_refused() {
    let (_folder, _lake, doors) = doors().await;
    for (address, accept, status, part) in [
        ("/v1/stream?limit=5", "*/*", 400, "found parameter limit, allowed are agreement, "),
        ("/v1/stream?verdict=broken", "*/*", 400, "found verdict=broken, allowed are met, "),
        ("/v1/stream", "text/csv, application/json;q=0.5", 406, "allowed is text/event-stream"),
    ] {
        let response = ask_for(&doors, address, &[(header::ACCEPT, accept)]).await;
        assert_eq!(response.status().as_u16(), status, "{address}");
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        assert!(String::from_utf8_lossy(&body).contains(part), "{address}");
    }
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(ask_for(&doors, "/v1/stream", &[]).await);
    }
    assert_eq!(ask_for(&doors, "/v1/stream", &[]).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    streams.pop();
    assert_eq!(ask_for(&doors, "/v1/stream", &[]).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_an_agreement_streams_its_changes_alone() {
    let (_folder, lake, doors) = doors().await;
    let acme = Grant { agreements: ["acme".to_owned()].into(), ..Grant::default() };
    let (token, line) = Users::with_token("acme", acme).expect("a token");
    let doors = guard(doors, Arc::new(Users::parse(&line).expect("users")));
    assert_eq!(ask_for(&doors, "/v1/stream", &[]).await.status(), StatusCode::UNAUTHORIZED);
    let authorization = format!("Bearer {token}");
    let response = ask_for(&doors, "/v1/stream?verdict=breached", &[(header::AUTHORIZATION, &authorization)]).await;
    let mut body = response.into_body().into_data_stream();
    assert!(is_position(&read(&mut body, 1).await[0], 4));
    append(&lake, Table::Attainment, 5, FIFTH).await;
    let told = read(&mut body, 2).await;
    assert_eq!(change(&told[0]), ["acme", "met", "breached"].map(Value::from));
    assert!(is_position(&told[1], 5));
}
