//! Pages of the GET doors, without a network.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};

use super::doors::{get, send};
use super::*;

/// The answer to a request: its status, its headers and its text.
async fn asked(
    service: &Arc<QueryService>,
    address: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get(address).header(header::ACCEPT, "text/csv");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = send(service, request.body(Body::empty()).expect("a request")).await;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    (status, headers, String::from_utf8(body.to_vec()).expect("UTF-8"))
}

/// Where the next page is, as `Link` tells it.
fn next(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(header::LINK)?.to_str().expect("text");
    let address = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a link");
    Some(address.to_owned())
}

/// All rows of a door, page by page, without the line of names.
async fn all_pages(service: &Arc<QueryService>, address: &str) -> Vec<Vec<String>> {
    let (mut pages, mut address) = (Vec::new(), Some(address.to_owned()));
    while let Some(page) = address {
        let (status, headers, text) = asked(service, &page, &[]).await;
        assert_eq!(status, StatusCode::OK, "{page}: {text}");
        pages.push(text.lines().skip(1).map(str::to_owned).collect());
        address = next(&headers);
        assert!(pages.len() < 100, "{page}");
    }
    pages
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_the_whole_cut_in_pieces_also_where_values_are_null_or_alike() {
    let (_folder, lake, service) = service(limits()).await;
    // Twelve outages that begin together; every third lasts, so it has no end and no length.
    let outage = |number: i32| match number % 3 {
        0 => format!(r#"{{"service":"s{number:02}, x","started_at":"2026-02-01T10:00:00.000001Z"}}"#),
        _ => format!(
            r#"{{"service":"s{number:02}, x","started_at":"2026-02-01T10:00:00.000001Z","ended_at":"2026-02-01T1{}:00:00Z","duration_us":{}}}"#,
            1 + number % 2,
            number % 4
        ),
    };
    append(&lake, Table::Outages, 5, &(0..12).map(outage).collect::<Vec<_>>().join("\n")).await;
    for sort in [
        "",
        "&sort=service",
        "&sort=-service",
        "&sort=duration_us",
        "&sort=-duration_us",
        "&sort=-ended_at,duration_us,-service",
        "&sort=started_at,-duration_us",
    ] {
        let whole = all_pages(&service, &format!("/v1/outages?fields=service,duration_us{sort}")).await;
        assert_eq!((whole.len(), whole[0].len()), (1, 13), "one of them is of the lake");
        for limit in [1, 2, 5, 12, 13] {
            let address = format!("/v1/outages?fields=service,duration_us{sort}&limit={limit}");
            let pages = all_pages(&service, &address).await;
            assert_eq!(pages.concat(), whole[0], "{address}");
            assert_eq!(pages.len(), 13_usize.div_ceil(limit), "{address}");
        }
    }
    // What came and went meanwhile makes nothing be passed over: the next page begins after the last row.
    let (_, headers, first) = asked(&service, "/v1/outages?sort=service&fields=service&limit=3", &[]).await;
    assert_eq!(first, "service\n\"s00, x\"\n\"s01, x\"\n\"s02, x\"\n");
    let gone = r#"{"service":"s02, x","started_at":"2026-02-01T10:00:00.000001Z","revision":1,"retracted":true}
{"service":"s00a","started_at":"2026-02-01T10:00:00Z"}"#;
    append(&lake, Table::Outages, 6, gone).await;
    let (_, _, second) = asked(&service, &next(&headers).expect("another page"), &[]).await;
    assert_eq!(second, "service\n\"s03, x\"\n\"s04, x\"\n\"s05, x\"\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_differ_in_the_least_of_their_key_are_all_on_some_page() {
    let (_folder, lake, service) = service(limits()).await;
    // Parts of the budget of three clocks, two of them of one ticket.
    let attribution = |ticket: &str, cycle: i32| {
        format!(
            r#"{{"agreement":"acme","service":"web","objective":"resolution","ticket":"{ticket}","cycle":{cycle},"window_start":"2026-03-01T00:00:00Z","supporting_service":"web"}}"#
        )
    };
    let attributions = [attribution("INC2", 0), attribution("INC1", 1), attribution("INC1", 0)];
    append(&lake, Table::Attributions, 5, &attributions.join("\n")).await;
    // What came to pass at one instant: two shares and two burn rates of one window, a share of another; both are missed.
    let told = |event: &str, day: u32, more: &str| {
        format!(
            r#"{{"event":"{event}","scope":"objective","agreement":"acme","service":"web","objective":"latency","window_start":"2026-03-0{day}T00:00:00Z","at":"2026-03-05T00:00:00Z"{more}}}"#
        )
    };
    let promises = [
        told("warning", 2, r#","threshold_ratio":"0.500000000""#),
        told("warning", 1, r#","threshold_ratio":"14.400000000","span_us":21600000000"#),
        told("warning", 1, r#","threshold_ratio":"14.400000000","span_us":3600000000"#),
        told("warning", 1, r#","threshold_ratio":"0.750000000""#),
        told("warning", 1, r#","threshold_ratio":"0.500000000""#),
        told("breach", 2, ""),
        told("breach", 1, ""),
    ];
    append(&lake, Table::Breaches, 5, &promises.join("\n")).await;
    let cases: [(&str, &[&str]); 3] = [
        ("/v1/attributions?objective=resolution&fields=ticket,cycle", &["INC1,0", "INC1,1", "INC2,0"]),
        (
            "/v1/warnings?objective=latency&fields=window_start,threshold_ratio,span_us",
            &[
                "2026-03-01T00:00:00Z,0.500000000,",
                "2026-03-01T00:00:00Z,0.750000000,",
                "2026-03-01T00:00:00Z,14.400000000,3600000000",
                "2026-03-01T00:00:00Z,14.400000000,21600000000",
                "2026-03-02T00:00:00Z,0.500000000,",
            ],
        ),
        ("/v1/breaches?objective=latency&fields=window_start", &["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"]),
    ];
    for (address, expected) in cases {
        for limit in [1, 2, 1_000] {
            let pages = all_pages(&service, &format!("{address}&limit={limit}")).await;
            assert_eq!(pages.concat(), expected, "{address} by {limit}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_and_order_are_chosen_and_what_there_is_not_is_told() {
    let (_folder, _lake, service) = service(limits()).await;
    let (_, headers, text) = asked(&service, "/v1/clocks?fields=verdict,ticket", &[]).await;
    assert_eq!((text.as_str(), next(&headers)), ("verdict,ticket\nmet,INC1\n", None));
    let (_, _, text) = asked(&service, "/v1/attainment?fields=agreement&sort=agreement,-window_start", &[]).await;
    assert_eq!(text, "agreement\nacme\nacme\nbeta\nbeta\n");
    // One result each of February's trend: the mean of the worse is the smaller.
    let trend =
        "/v1/trend?fields=window_start,attainment_mean_ratio&sort=-attainment_mean_ratio&limit=1&window_kind=month";
    let pages = all_pages(&service, trend).await.concat();
    // January 0.998571428 of one that was measured, February (1 + 0.999) / 2.
    assert_eq!(pages, ["2026-02-01T00:00:00Z,0.9995000000000", "2026-01-01T00:00:00Z,0.9985714280000"]);
    let cursor = next(&asked(&service, "/v1/attainment?limit=1", &[]).await.1).expect("another page");
    for (address, part) in [
        ("/v1/clocks?fields=", "found column  in fields, allowed are agreement, "),
        ("/v1/clocks?fields=ticket,colour", "found column colour in fields, allowed are agreement, "),
        ("/v1/clocks?fields=ticket,verdict,ticket", "found ticket twice in fields, expected it once"),
        ("/v1/clocks?fields=retracted", "found column retracted in fields"),
        ("/v1/clocks?sort=-colour", "found column colour in sort, allowed are agreement, "),
        ("/v1/clocks?fields=ticket&fields=ticket", "found fields twice"),
        ("/v1/clocks?cursor=x", "found a cursor that no page gave"),
        ("/v1/clocks?cursor=eyJzb3J0IjpbXSwibGFzdCI6W119", "found a cursor of another sort"),
        (&format!("{cursor}&sort=agreement"), "found a cursor of another sort"),
    ] {
        let (status, problem) = get(&service, address).await;
        let detail = problem["detail"].as_str().expect("a problem");
        assert!(status == StatusCode::BAD_REQUEST && detail.starts_with(part), "{address}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_an_answer_is_told_that_it_still_holds() {
    let (_folder, lake, service) = service(limits()).await;
    let address = "/v1/outages?fields=service";
    let (status, headers, text) = asked(&service, address, &[]).await;
    let tag = headers[header::ETAG].to_str().expect("text").to_owned();
    assert_eq!((status, text.as_str()), (StatusCode::OK, "service\nweb\n"));
    assert_eq!(headers[header::CACHE_CONTROL], "private, no-cache");
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let (status, headers, text) = asked(&service, address, &[("if-none-match", &known)]).await;
        assert_eq!((status, text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{known}");
        assert_eq!(headers[header::ETAG], tag);
    }
    append(&lake, Table::Outages, 5, r#"{"service":"mail","started_at":"2026-02-01T10:00:00Z"}"#).await;
    let (status, headers, text) = asked(&service, address, &[("if-none-match", &tag)]).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "service\nmail\nweb\n"));
    assert_ne!(headers[header::ETAG], tag);
}
