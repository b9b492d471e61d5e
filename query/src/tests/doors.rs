//! The HTTP doors, asked without a network.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::BytesRejection;
use axum::http::{Request, Response, StatusCode, header};
use axum::routing::post;
use tower::ServiceExt;

use super::*;
use crate::{BODY_BYTES_MAX, More, Readiness, body_of, router};

pub(super) async fn send(service: &Arc<QueryService>, request: Request<Body>) -> Response<Body> {
    send_with(More::default(), service, request).await
}

async fn send_with(more: More, service: &Arc<QueryService>, request: Request<Body>) -> Response<Body> {
    let readiness: Readiness = Arc::new(|| Err("no epoch was committed yet".to_owned()));
    router(service.clone(), readiness, more).oneshot(request).await.expect("infallible")
}

pub(super) async fn get(service: &Arc<QueryService>, address: &str) -> (StatusCode, Value) {
    let response = send(service, Request::get(address).body(Body::empty()).expect("request")).await;
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("body");
    (status, serde_json::from_slice(&body).expect("JSON"))
}

/// The values of some members of each row.
pub(super) fn pick(rows: &Value, names: &[&str]) -> Vec<Vec<Value>> {
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| names.iter().map(|name| row.get(*name).cloned().expect("member")).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn get_doors_filter_order_and_limit() {
    let (_folder, _lake, service) = service(limits()).await;
    let cases: [(&str, &[&str], Value); 16] = [
        (
            "/v1/attainment?service=web",
            &["window_start", "verdict"],
            json!([["2026-02-01T00:00:00Z", "met"], ["2026-01-01T00:00:00Z", "breached"]]),
        ),
        (
            "/v1/attainment?verdict=breached&verdict=no_data&until=2026-02-01",
            &["agreement", "attainment_ratio"],
            json!([["acme", 0.998571428], ["beta", null]]),
        ),
        ("/v1/attainment?from=2026-02-01T01:00:00%2B01:00&limit=1", &["agreement"], json!([["acme"]])),
        ("/v1/attainment?customer=%27%20OR%201=1%20--", &["agreement"], json!([])),
        // Only what is not over yet is forecast, the most likely breach first.
        ("/v1/forecast", &["agreement", "breach_probability_ratio"], json!([["beta", 0.25], ["acme", 0.1]])),
        ("/v1/credits?window_kind=month", &["credit_minor", "currency"], json!([[2500, "EUR"]])),
        ("/v1/agreements?agreement=acme", &["name", "objective_count"], json!([["ACME's \"web\", shop", 1]])),
        ("/v1/objectives?objective=availability", &["name"], json!([["ACME's \"web\", shop"]])),
        (
            "/v1/breaches?limit=9",
            &["ticket", "at"],
            json!([[null, "2026-01-21T00:00:00Z"], ["INC9", "2026-01-07T12:00:00Z"]]),
        ),
        ("/v1/breaches?scope=ticket", &["ticket"], json!([["INC9"]])),
        ("/v1/warnings?scope=ticket", &["ticket"], json!([["INC8"]])),
        ("/v1/clocks?priority=P1", &["ticket", "verdict"], json!([["INC1", "met"]])),
        ("/v1/clocks?from=2026-01-06", &["ticket"], json!([])),
        ("/v1/outages?service=web", &["duration_us"], json!([[1_800_000_000]])),
        // January: only ACME was measured. February: (1.000 + 0.999) / 2 = 0.9995 on average, 999 + 500 us good.
        (
            "/v1/trend?offering=gold&window_kind=month",
            &["window_start", "attainment_count", "breached_count", "no_data_count", "attainment_min_ratio", "good_us"],
            json!([
                ["2026-01-01T00:00:00Z", 2, 1, 1, 0.998571428, 998_571_428],
                ["2026-02-01T00:00:00Z", 2, 0, 0, 0.999, 1499]
            ]),
        ),
        (
            "/v1/trend?from=2026-02-01",
            &["attainment_mean_ratio", "window_end"],
            json!([[0.9995, "2026-03-01T00:00:00Z"]]),
        ),
    ];
    for (address, names, expected) in cases {
        let (status, rows) = get(&service, address).await;
        assert_eq!(status, StatusCode::OK, "{address}: {rows}");
        assert_eq!(json!(pick(&rows, names)), expected, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_problems() {
    let (_folder, _lake, service) = service(limits()).await;
    for (address, status, part) in [
        ("/v1/outages?limit=1&limit=2", 400, "found limit twice, expected it once"),
        ("/v1/outages?known_at=2026-03-01&known_at=2026-03-02", 400, "found known_at twice, expected it once"),
        ("/v1/trend?known_at=then", 400, "found known_at=then, expected 2026-01-31T08:00:00Z or 2026-01-31"),
        ("/v1/outages?service=%ff", 400, "found bytes that are not UTF-8 in service, expected text"),
        (
            "/v1/outages?colour=red",
            400,
            "found parameter colour, allowed are service, from, until, fields, sort, limit, cursor, known_at",
        ),
        ("/v1/agreements?from=2026-01-01", 400, "found parameter from, allowed are agreement"),
        ("/v1/attainment?from=yesterday", 400, "found from=yesterday, expected 2026-01-31T08:00:00Z or 2026-01-31"),
        ("/v1/attainment?limit=0", 400, "found limit=0, allowed are 1 to 10000"),
        ("/v1/attainment?limit=10001", 400, "found limit=10001"),
        (
            "/v1/attainment?verdict=broken",
            400,
            "found verdict=broken, allowed are met, at_risk, breached, no_data, insufficient_data",
        ),
        ("/v1/attainment?verdict=met&verdict=", 400, "found verdict=, allowed are met"),
        (
            "/v1/clocks?verdict=at_risk",
            400,
            "found verdict=at_risk, allowed are running, met, breached, cancelled, moved",
        ),
        ("/v1/trend?window_kind=Month", 400, "found window_kind=Month, allowed are day, week, month, quarter, year"),
        ("/v1/breaches?scope=window", 400, "found scope=window, allowed are objective, ticket"),
        ("/v1/objectives?signal=uptime", 400, "found signal=uptime, allowed are availability"),
        ("/v1/agreements?agreement_type=SLA", 400, "found agreement_type=SLA, allowed are sla, ola, uc"),
        ("/v1/corrections?reason=late", 400, "allowed are late_event, definition_change, retroactive_version"),
        ("/v1/kpis?kpi=nope", 400, "found kpi=nope, allowed are measured_in_time, breached, overdue_for_review"),
        ("/v1/nothing", 404, "no such address"),
        ("/v1/sql", 405, "another method"),
        ("/readyz", 503, "no epoch was committed yet"),
    ] {
        let (found, problem) = get(&service, address).await;
        assert_eq!((found.as_u16(), &problem["status"]), (status, &json!(status)), "{address}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(part)), "{address}: {problem}");
    }
    let request = Request::get("/v1/outages").header(header::ACCEPT, "image/png").body(Body::empty()).expect("request");
    let response = send(&service, request).await;
    assert_eq!(response.status(), StatusCode::NOT_ACCEPTABLE);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_posted() {
    let (_folder, _lake, service) = service(limits()).await;
    let long = format!("SELECT '{}'", "x".repeat(1 << 20));
    let cases: [(&str, &str, &str, u16, &str, &str); 11] = [
        ("application/json", r#"{"sql": "SELECT 1 AS one"}"#, "*/*", 200, "application/json", "[{\"one\":1}]\n"),
        (
            "application/json; charset=utf-8",
            r#"{"sql": "SELECT 1 AS one"}"#,
            "text/csv",
            200,
            "text/csv; charset=utf-8",
            "one\n1\n",
        ),
        ("text/plain", "SELECT 1 AS one", "application/x-ndjson", 200, "application/x-ndjson", "{\"one\":1}\n"),
        (
            "application/x-www-form-urlencoded",
            "SELECT 1 AS one",
            "text/plain",
            200,
            "text/plain; charset=utf-8",
            "| one |",
        ),
        ("text/plain", "SELEC 1", "text/csv", 400, "application/problem+json", "syntax error"),
        ("text/plain", "SELECT 1 / 0", "text/csv", 400, "application/problem+json", "ivide by zero"),
        (
            "application/json",
            r#"{"query": "SELECT 1"}"#,
            "*/*",
            400,
            "application/problem+json",
            "unknown field `query`",
        ),
        ("text/plain", "DROP VIEW clocks", "*/*", 403, "application/problem+json", "tables are only read here"),
        (
            "text/plain",
            "SELECT array_agg(service) FROM services",
            "text/csv",
            400,
            "application/problem+json",
            "the answer cannot be written in this format",
        ),
        ("text/plain", long.as_str(), "*/*", 413, "application/problem+json", "the body is longer than 1 MiB"),
        ("image/png", "SELECT 1", "*/*", 415, "application/problem+json", "found content type image/png"),
    ];
    for (content_type, body, accept, status, answered, part) in cases {
        let request =
            Request::post("/v1/sql").header(header::CONTENT_TYPE, content_type).header(header::ACCEPT, accept);
        let response = send(&service, request.body(Body::from(body.to_owned())).expect("request")).await;
        let case = &body[..body.len().min(40)];
        assert_eq!(response.status().as_u16(), status, "{case}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], answered, "{case}");
        let body = to_bytes(response.into_body(), 1 << 21).await.expect("body");
        let text = String::from_utf8(body.to_vec()).expect("UTF-8");
        assert!(text.contains(part), "{case}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_doors_are_listed_where_they_are_and_behave_as_the_others() {
    let (_folder, _lake, service) = service(limits()).await;
    let more = || {
        let read = |body: Result<Bytes, BytesRejection>| async { body_of(body, BODY_BYTES_MAX).map(|_| "read") };
        let described = json!({"post": {"summary": "reads it", "parameters": [{"name": "from"}, {"name": "as_of"}]}});
        More {
            doors: Router::new().route("/v1/draft", post(read)),
            paths: [("/v1/draft".to_owned(), described)].into_iter().collect(),
        }
    };
    let text = |response: Response<Body>| async {
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        String::from_utf8(body.to_vec()).expect("UTF-8")
    };
    let root = || Request::get("/").body(Body::empty()).expect("a request");
    let listed = text(send_with(more(), &service, root()).await).await;
    assert!(listed.contains("\nPOST /v1/draft?from=&as_of=     reads it\n"), "{listed}");
    let listed = text(send(&service, root()).await).await;
    assert!(listed.contains("\nGET  /v1/outages?service=&from="), "{listed}");
    for absent in ["/v1/draft", "/v1/change-gate", "/v1/backtest", "/v1/definitions", "/v1/audit", "/metrics"] {
        assert!(!listed.contains(absent), "{listed}");
    }
    for (request, status, part) in [
        (Request::post("/v1/draft").body(Body::from("x".repeat(1 << 20))), 200, "read"),
        (Request::post("/v1/draft").body(Body::from("x".repeat((1 << 20) + 1))), 413, "the body is longer than 1 MiB"),
        (Request::get("/v1/draft").body(Body::empty()), 405, "this address has another method"),
    ] {
        let response = send_with(more(), &service, request.expect("a request")).await;
        assert_eq!(response.status().as_u16(), status);
        let answer = text(response).await;
        assert!(answer.contains(part), "{answer}");
    }
}
