//! `/metrics`: what is known as text of Prometheus, in the format and the encoding that whoever asks prefers.
//!
//! In: the text format 0.0.4, as every part of the process writes it, and the headers `Accept` and `Accept-Encoding`. Out:
//! that text, or the same as OpenMetrics 1.0, whose samples are the same bytes; as it is, or compressed.

use std::io::Write;

use axum::Router;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use plimsoll_aggregate::Shown;
use plimsoll_aggregate::shown::{Labels, OBJECTIVES_SHOWN_MAX};
use plimsoll_query::{More, openapi};
use serde_json::{Map, Value, json};

use crate::doors::failed;

/// The media type of the Prometheus text format.
const TEXT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// That of OpenMetrics.
const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How hard zstd tries: a scrape is read once, and the next one comes in seconds.
const ZSTD_LEVEL: i32 = 1;

/// The units of OpenMetrics that names end in.
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];

/// How much of the objectives a scrape shows.
#[derive(clap::Args)]
#[group(skip)]
pub struct Arguments {
    /// By which labels /metrics tells objectives apart; agreement, objective and service are always among them
    #[arg(long, value_name = "LABEL,..", default_value = "agreement,agreement_type,customer,objective,offering,service,window", value_parser = clap::value_parser!(Labels))]
    metrics_labels: Labels,
    /// Of how many objectives /metrics shows numbers: of the breached ones first, and then of those with the least error
    /// budget left
    #[arg(long, value_name = "COUNT", default_value_t = OBJECTIVES_SHOWN_MAX)]
    metrics_objectives_max: usize,
}

impl Arguments {
    /// What is to be shown.
    pub fn shown(&self) -> Shown {
        Shown { labels: self.metrics_labels, objectives_max: self.metrics_objectives_max }
    }
}

/// The door, which asks for the text at each scrape.
pub fn door<Text: Future<Output = String> + Send>(metrics: impl Fn() -> Text + Clone + Send + Sync + 'static) -> More {
    let scrape = move |headers: HeaderMap| async move { answer(&headers, metrics().await).await };
    More {
        doors: Router::new().route("/metrics", get(scrape)),
        paths: Map::from_iter([("/metrics".to_owned(), json!({"get": described()}))]),
    }
}

fn described() -> Value {
    let what = "numbers for Prometheus";
    let answer = json!({"description": what, "content": {TEXT_TYPE: {}, OPEN_METRICS_TYPE: {}}});
    json!({"summary": what, "responses": {"200": answer, "default": {"$ref": openapi::PROBLEM}}})
}

async fn answer(headers: &HeaderMap, text: String) -> Response {
    let (format, encoding) = (Format::preferred(headers), Encoding::preferred(headers));
    // It may take long to write many series anew, which keeps none of those waiting who only pass answers on.
    let written = tokio::task::spawn_blocking(move || encoding.encode(format.write(text))).await;
    let body = match written.map_err(anyhow::Error::from).and_then(|body| Ok(body?)) {
        Ok(body) => body,
        Err(error) => return failed(error).into_response(),
    };
    let types = [(CONTENT_TYPE, format.media_type()), (VARY, "Accept, Accept-Encoding")];
    let mut response = (types, body).into_response();
    if let Some(name) = encoding.name() {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

/// How the text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    OpenMetrics,
}

impl Format {
    /// OpenMetrics for those who like it as well as the text format; the text for everybody else, whatever they ask for, as
    /// other exporters do.
    fn preferred(headers: &HeaderMap) -> Format {
        let wishes = wishes(headers, ACCEPT);
        let of = |media: &str, version: &str| {
            let is_version = |wish: &&Wish| wish.version.as_deref().is_none_or(|wished| wished == version);
            let fitting = wishes.iter().filter(|wish| wish.what == media).filter(is_version);
            fitting.map(|wish| wish.weight).max()
        };
        let text = of("text/plain", "0.0.4").or_else(|| of("text/*", "")).or_else(|| of("*/*", ""));
        match of("application/openmetrics-text", "1.0.0") {
            Some(open) if open > 0 && open >= text.unwrap_or(0) => Format::OpenMetrics,
            _ => Format::Text,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Format::Text => TEXT_TYPE,
            Format::OpenMetrics => OPEN_METRICS_TYPE,
        }
    }

    fn write(self, text: String) -> String {
        match self {
            Format::Text => text,
            Format::OpenMetrics => open_metrics(&text),
        }
    }
}

/// How the answer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// What is liked best; zstd of two that are liked alike, for it is the quickest.
    fn preferred(headers: &HeaderMap) -> Encoding {
        let wishes = wishes(headers, ACCEPT_ENCODING);
        let of = |name: &str| wishes.iter().find(|wish| wish.what == name).map(|wish| wish.weight);
        let compressed = |name: &str| of(name).or_else(|| of("*")).unwrap_or(0);
        let (zstd, gzip) = (compressed("zstd"), compressed("gzip"));
        let best = zstd.max(gzip);
        match of("identity").unwrap_or(0) {
            identity if best == 0 || identity > best => Encoding::Identity,
            _ if zstd == best => Encoding::Zstd,
            _ => Encoding::Gzip,
        }
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Encoding::Identity => None,
            Encoding::Gzip => Some("gzip"),
            Encoding::Zstd => Some("zstd"),
        }
    }

    fn encode(self, text: String) -> std::io::Result<Vec<u8>> {
        match self {
            Encoding::Identity => Ok(text.into_bytes()),
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(text.as_bytes())?;
                encoder.finish()
            }
            Encoding::Zstd => zstd::encode_all(text.as_bytes(), ZSTD_LEVEL),
        }
    }
}

/// One thing that a header says is acceptable, and how much it is liked, in thousandths (RFC 9110, 12.4.2).
struct Wish {
    what: String,
    version: Option<String>,
    weight: u16,
}

fn wishes(headers: &HeaderMap, name: HeaderName) -> Vec<Wish> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(Wish::parse).collect()
}

impl Wish {
    fn parse(text: &str) -> Option<Wish> {
        let mut parts = text.split(';').map(str::trim);
        let what = parts.next().filter(|what| !what.is_empty())?.to_ascii_lowercase();
        let mut wish = Wish { what, version: None, weight: 1_000 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                // What is not a weight likes nothing.
                "q" => wish.weight = value.trim().parse::<f32>().map_or(0, |q| (q.clamp(0.0, 1.0) * 1_000.0) as u16),
                "version" => wish.version = Some(value.trim().trim_matches('"').to_owned()),
                _ => {}
            }
        }
        Some(wish)
    }
}

/// The text format 0.0.4 as [OpenMetrics 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/): a counter's family is
/// called without `_total`, units are told, quotes in help texts are escaped, and the end is marked. Samples are the same.
fn open_metrics(text: &str) -> String {
    let mut open = String::with_capacity(text.len() + text.len() / 8 + 64);
    // A value of a label has no line break, so this begins each family, and nothing else.
    let families = text.strip_prefix("# HELP ").map(|text| text.split("\n# HELP ")).into_iter().flatten();
    for family in families {
        let (head, rest) = family.split_once('\n').unwrap_or((family, ""));
        let (name, help) = head.split_once(' ').unwrap_or((head, ""));
        let (kind, samples) = rest.split_once('\n').unwrap_or((rest, ""));
        let kind = kind.rsplit(' ').next().unwrap_or_default();
        let name = name.strip_suffix("_total").filter(|_| kind == "counter").unwrap_or(name);
        let unit = name.rsplit('_').next().filter(|unit| UNITS.contains(unit));
        ["# TYPE ", name, " ", kind, "\n"].into_iter().for_each(|part| open.push_str(part));
        if let Some(unit) = unit {
            ["# UNIT ", name, " ", unit, "\n"].into_iter().for_each(|part| open.push_str(part));
        }
        ["# HELP ", name, " ", &help.replace('"', "\\\""), "\n"].into_iter().for_each(|part| open.push_str(part));
        open.push_str(samples);
        if !samples.is_empty() && !samples.ends_with('\n') {
            open.push('\n');
        }
    }
    open.push_str("# EOF\n");
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_format_is_the_one_that_is_liked_best() {
        use Format::{OpenMetrics, Text};
        // The first is what Prometheus 2.42 sends.
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, expected) in [
            (prometheus, OpenMetrics),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; Version=1.0.0; Q=0.5, text/*;q=0.4", OpenMetrics),
            ("application/openmetrics-text; version=0.0.1", Text),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;q=nonsense", Text),
            ("application/openmetrics-text;q=0.4, text/plain;q=0.5", Text),
            ("application/openmetrics-text;q=0.4, */*;q=0.5", Text),
            ("text/plain", Text),
            ("*/*", Text),
            ("application/json", Text),
            ("", Text),
        ] {
            assert_eq!(Format::preferred(&headers(ACCEPT, accept)), expected, "{accept}");
        }
        assert_eq!(Format::preferred(&HeaderMap::new()), Text);
    }

    #[test]
    fn the_encoding_is_the_one_that_is_liked_best() {
        use Encoding::{Gzip, Identity, Zstd};
        for (accept, expected) in [
            ("gzip", Gzip),
            ("gzip, zstd", Zstd),
            ("gzip, zstd;q=0.9", Gzip),
            ("GZIP;q=0.1", Gzip),
            ("br, deflate", Identity),
            ("*", Zstd),
            ("*;q=0.5, zstd;q=0", Gzip),
            ("gzip;q=0", Identity),
            ("gzip;q=0.5, identity", Identity),
            ("identity;q=0, gzip;q=0.1", Gzip),
            ("", Identity),
        ] {
            assert_eq!(Encoding::preferred(&headers(ACCEPT_ENCODING, accept)), expected, "{accept}");
        }
        assert_eq!(Encoding::preferred(&HeaderMap::new()), Identity);
    }

    #[test]
    fn open_metrics_are_told_as_the_specification_has_them() {
        let text = "# HELP a_seconds_total Say \"a\".\n# TYPE a_seconds_total counter\na_seconds_total{x=\"# HELP\"} 1\n\
                    # HELP b Nothing.\n# TYPE b gauge\n# HELP c_ratio C.\n# TYPE c_ratio gauge\nc_ratio 0.5\n";
        let expected = "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds Say \\\"a\\\".\n\
                        a_seconds_total{x=\"# HELP\"} 1\n# TYPE b gauge\n# HELP b Nothing.\n\
                        # TYPE c_ratio gauge\n# UNIT c_ratio ratio\n# HELP c_ratio C.\nc_ratio 0.5\n# EOF\n";
        assert_eq!(open_metrics(text), expected);
        assert_eq!(open_metrics(""), "# EOF\n");
    }
}
