//! What nobody should write: files that are broken, endless, or larger than they look.
//!
//! The files are those of `tests/corpus/definitions` and of the documentation's example; one that ever did harm is kept
//! there.

use std::sync::LazyLock;
use std::time::{Duration, Instant as Moment};

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::listed;
use crate::Instant;
use crate::definition::scalar::parse_duration;
use crate::definition::{Definitions, File, Money, Problem, load};
use crate::ratio::Share;
use crate::time::Micros;

/// The files of the corpus and of the example, by name.
static CORPUS: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in ["tests/corpus/definitions", "docs/examples/definitions"] {
        let mut waiting = vec![root.join(folder)];
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                waiting
                    .extend(std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
            } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "ics") {
                let text = std::fs::read(&path).expect("a file");
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                files.push((name, String::from_utf8_lossy(&text).into_owned()));
            }
        }
    }
    files.sort();
    assert!(files.len() > 10, "the corpus was found");
    files
});

/// Loads files, whatever they hold: each problem says where it is.
fn loaded(files: &[(String, String)]) -> Result<Definitions, Vec<Problem>> {
    let views: Vec<File<'_>> = files.iter().map(|(name, text)| File { name, text }).collect();
    let result = load(&views);
    for problem in result.as_ref().err().into_iter().flatten() {
        let is_told = problem.file.is_empty() && problem.found == "no definitions";
        let file = files.iter().find(|(name, _)| *name == problem.file);
        let lines = file.map_or(0, |(_, text)| text.lines().count() + 1);
        assert!(is_told || (1..=lines).contains(&problem.line), "{problem} of {lines} lines");
        assert!(!problem.to_string().contains(char::is_control), "{problem}");
    }
    result
}

/// One way to break a file.
#[derive(Clone, Debug)]
enum Damage {
    /// Puts a text somewhere.
    Insert(Index, String),
    /// Ends it early.
    Cut(Index),
    /// Leaves a line out.
    Drop(Index),
    /// Puts a line below another one.
    Copy(Index, Index),
    /// Gives the value of a line to another one.
    Value(Index, String),
}

/// Texts that stand where values do.
fn values() -> impl Strategy<Value = String> {
    let words = [
        "",
        "~",
        "null",
        "true",
        "-1",
        "0",
        "1",
        "99999999999999999999",
        "1e400",
        ".nan",
        "-.inf",
        "0x7fffffffffffffff",
        "100 %",
        "99.9999999 %",
        "0.000000001",
        "36500d",
        "36501d",
        "0s",
        "1ms",
        "9999 years",
        "1 month",
        "24:00",
        "00:00",
        "1970-01-01",
        "2199-12-31",
        "2200-01-01",
        "2026-02-29",
        "0000-00-00",
        "9999-99-99T99:99:99",
        "web",
        "mail",
        "acme",
        "gold",
        "month",
        "rolling",
        "[]",
        "{}",
        "[web, web]",
        "{calendar: year}",
        "{rolling: 1m}",
        "*a",
        "&a x",
        "!!int x",
        "Europe/Berlin",
        "Mars/Phobos",
        "holidays.ics",
        "../holidays.ics",
        "/etc/passwd",
        "for_ever.ics",
        "any_down",
        "excluded",
        "hold",
        "P1D",
        "FREQ=DAILY",
        "FREQ=YEARLY;BYDAY=1MO;COUNT=9",
        "20260101T080000Z",
        "19000101",
        "21991231",
        "🦀",
        "a\u{0}b",
        "\u{202e}x",
        "|",
        ">-",
        "? x",
        "- - -",
    ];
    prop_oneof![
        12 => select(words.to_vec()).prop_map(str::to_owned),
        1 => (select(vec!["[", "{a: ", "- ", "9", "x", "&a [", "\""]), 1_usize..300)
            .prop_map(|(unit, times)| unit.repeat(times)),
        1 => "\\PC{0,12}",
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    prop_oneof![
        2 => (place(), values()).prop_map(|(at, text)| Damage::Insert(at, text)),
        1 => place().prop_map(Damage::Cut),
        2 => place().prop_map(Damage::Drop),
        2 => (place(), place()).prop_map(|(from, to)| Damage::Copy(from, to)),
        6 => (place(), values()).prop_map(|(at, text)| Damage::Value(at, text)),
    ]
}

impl Damage {
    fn apply(&self, text: &mut String) {
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let boundary = |index: &Index, text: &str| {
            let place = index.index(text.len() + 1);
            (0..=place).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(0)
        };
        match self {
            Damage::Insert(at, what) => return text.insert_str(boundary(at, text), what),
            Damage::Cut(at) => return text.truncate(boundary(at, text)),
            Damage::Drop(at) => drop(lines.remove(at.index(lines.len()))),
            Damage::Copy(from, to) => {
                let line = lines[from.index(lines.len())].clone();
                lines.insert(to.index(lines.len() + 1), line);
            }
            Damage::Value(at, what) => {
                let at = at.index(lines.len());
                let line = &mut lines[at];
                let after = line.find([':', ';', '=', '[']).map_or(0, |place| place + 1);
                let end = line[after..].find([',', '}', ']', ';']).map_or(line.len(), |place| after + place);
                line.replace_range(after..end, &format!(" {what}"));
            }
        }
        *text = lines.join("\n");
    }
}

proptest! {
    #[test]
    fn a_broken_folder_has_problems_in_places_and_never_ends_the_process(
        damages in prop::collection::vec((any::<Index>(), damage()), 1..5)
    ) {
        let mut files = CORPUS.clone();
        for (file, damage) in &damages {
            damage.apply(&mut file.get_mut(&mut files).1);
        }
        let _ = loaded(&files);
    }

    #[test]
    fn a_broken_holiday_file_closes_days_or_is_a_problem(damages in prop::collection::vec(damage(), 1..5)) {
        let mut files: Vec<_> = CORPUS.iter().filter(|(name, _)| ["calendar.yaml", "holidays.ics"].contains(&name.as_str())).cloned().collect();
        let [_, (_, text)] = files.as_mut_slice() else { panic!("a calendar and its file") };
        damages.iter().for_each(|damage| damage.apply(text));
        if let Ok(definitions) = loaded(&files) {
            let calendar = &definitions.calendars["office"][0];
            prop_assert!(calendar.holidays.len() + calendar.closures.len() <= 1 + usize::from(u16::MAX));
        }
    }

    #[test]
    fn any_text_is_a_file(text in "\\PC{0,200}|[-?:,\\[\\]{}#&*!|>'\"%@` \n\ta]{0,200}", is_calendar in any::<bool>()) {
        let name = if is_calendar { "holidays.ics" } else { "any.yaml" };
        let calendar = CORPUS.iter().find(|(name, _)| name == "calendar.yaml").expect("a calendar").clone();
        let _ = loaded(&[calendar, (name.to_owned(), text)]);
    }

    #[test]
    fn any_text_is_a_value_or_none(text in "\\PC{0,30}|[0-9.]{0,24} ?[%smhd]{0,3}|[0-9TZ:+.-]{0,30}") {
        prop_assert!(parse_duration(&text).is_none_or(|duration| (0..=36_500 * Micros::DAY.0).contains(&duration.0)));
        prop_assert!(Share::parse(&text).is_none_or(|share| share.0 >= 0));
        for currency in ["EUR", "JPY", "KWD", "", "🦀"] {
            prop_assert!(Money::parse(&text, currency).is_none_or(|money| (0..=Money::MAX).contains(&money.amount_minor)));
        }
        let _ = Instant::parse(&text);
    }

    #[test]
    fn what_is_written_is_read(micros in 0..=36_500 * Micros::DAY.0, share in 0..=Share::WHOLE, at in any::<i64>()) {
        prop_assert_eq!(parse_duration(&Micros(micros).to_string()), Some(Micros(micros)));
        prop_assert_eq!(Share::parse(&Share(share).to_string()), Some(Share(share)));
        let at = Instant(at.rem_euclid(Instant::LATEST.0));
        prop_assert_eq!(Instant::parse(&at.to_string()), Some(at));
    }
}

/// Files that grow in one way each, of about so many bytes.
fn growing(bytes: usize) -> Vec<(&'static str, String)> {
    let spec = |kind: &str, spec: &str| {
        format!("apiVersion: plimsoll/v1\nkind: {kind}\nmetadata: {{id: a}}\nspec:\n  {spec}\n")
    };
    let numbered = |unit: fn(usize) -> String| (0..bytes / unit(10_000).len()).map(unit).collect::<String>();
    vec![
        ("one field again and again", "a: 1\n".repeat(bytes / 5)),
        ("fields that do not exist", spec("Service", &numbered(|number| format!("field{number}: 1\n  ")))),
        ("a long name of an unknown field", spec("Service", &format!("{}: 1", "tie".repeat(bytes / 3)))),
        ("a long word where one of a list belongs", spec("Agreement", &format!("type: {}", "sl".repeat(bytes / 2)))),
        ("a long word for a time zone", spec("Calendar", &format!("time_zone: Europe/{}", "x".repeat(bytes)))),
        ("a long number", spec("Agreement", &format!("type: 0.{}", "1".repeat(bytes)))),
        ("a long duration", spec("Source", &format!("lateness: {}", "1m".repeat(bytes / 2)))),
        (
            "entries of which one is there twice",
            spec("Service", &format!("customers: [{}c1]", numbered(|number| format!("c{number}, ")))),
        ),
        (
            "services that no one defined",
            spec("Service", &format!("depends_on: [{}]", numbered(|number| format!("s{number}, ")))),
        ),
        ("misspelt services among many", {
            let half = bytes / 2;
            let defined =
                |number| format!("---\napiVersion: plimsoll/v1\nkind: Service\nmetadata: {{id: service-{number}}}\n");
            let count = half / defined(10_000).len();
            let all = (0..count).map(defined).collect::<String>();
            let misspelt = (0..half / "servise-10000, ".len()).map(|number| format!("servise-{number}, "));
            all + "---\n" + &spec("Service", &format!("depends_on: [{}]", misspelt.collect::<String>()))
        }),
        ("file names that begin in ways of their own", sources(bytes, |number| format!("source-{number}-*.csv"))),
        ("file names that end in ways of their own", sources(bytes, |number| format!("*-of-source-{number}.csv"))),
        ("file names that all fit each other", sources(bytes, |number| format!("*-{number}-*"))),
        ("an explicit key", format!("? {}\n: 1\n", "x".repeat(bytes))),
        ("quotes", format!("a: '{}'\n", "''".repeat(bytes / 2))),
        ("escapes", format!("a: \"{}\"\n", "\\x41".repeat(bytes / 4))),
        ("documents", "---\na\n".repeat(bytes / 6)),
        ("comments", "#\n".repeat(bytes / 2)),
        ("blank lines in a block", format!("a: |\n{}", "\n".repeat(bytes))),
        ("dashes", "- ".repeat(bytes / 2)),
        ("brackets", format!("a: {}", "[".repeat(bytes))),
        ("an anchor again and again", "- &a 1\n".repeat(bytes / 7)),
        ("aliases", format!("- &a 1\n{}", "- *a\n".repeat(bytes / 5))),
        ("folded lines", format!("BEGIN:VCALENDAR\nX:{}", "\n a".repeat(bytes / 3))),
        ("components", "BEGIN:VCALENDAR\n".repeat(bytes / 16)),
    ]
}

/// Sources of one file name each, of about so many bytes.
fn sources(bytes: usize, name: fn(usize) -> String) -> String {
    let source = |number| {
        format!(
            "---\napiVersion: plimsoll/v1\nkind: Source\nmetadata: {{id: s{number}}}\nspec: {{files: [\"{}\"]}}\n",
            name(number)
        )
    };
    (0..bytes / source(10_000).len()).map(source).collect()
}

#[test]
fn file_names_that_begin_and_end_alike_are_compared_until_they_are_too_many() {
    // Each of two sources has a thousand patterns of 60 letters, with a number in the middle and as many letters before and
    // after it as are told, so that no name fits two of them. 27,778 pairs of 60 * 60 letters are too many.
    let source = |id: char| {
        let names = (0..1_000).map(|number| format!("\"?{}{id}{number:04}{}?\"", "-".repeat(26), "-".repeat(27)));
        let names: Vec<String> = names.collect();
        format!(
            "---\napiVersion: plimsoll/v1\nkind: Source\nmetadata: {{id: {id}}}\nspec:\n  files: [{}]\n",
            names.join(", ")
        )
    };
    let text = source('a') + &source('b');
    let start = computed();
    let problems = load(&[File { name: "all.yaml", text: &text }]).expect_err("refused");
    assert!(computed() - start < Duration::from_secs(20));
    let told = listed(&problems);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("expected fewer patterns that begin and end alike"), "{told:?}");
}

#[test]
fn who_misspelt_a_hundred_words_is_told_what_was_meant_and_who_misspelt_more_is_told_it_no_more() {
    let service =
        |id: &str, spec: &str| format!("---\napiVersion: plimsoll/v1\nkind: Service\nmetadata: {{id: {id}}}\n{spec}");
    let text = |count: usize| {
        let defined = (0..count).map(|number| service(&format!("web{number:03}"), "")).collect::<String>();
        let names = (0..count).map(|number| format!("wep{number:03}, ")).collect::<String>();
        defined + &service("mail", &format!("spec: {{depends_on: [{names}]}}\n"))
    };
    for (count, suggested) in [(3, 3), (100, 100), (150, 100)] {
        let text = text(count);
        let told = listed(&load(&[File { name: "a.yaml", text: &text }]).expect_err("refused"));
        assert_eq!(told.len(), count);
        let helped = told.iter().filter(|line| line.contains("; perhaps \"web")).count();
        assert_eq!(helped, suggested, "of {count}");
    }
}

/// How long this thread has computed so far: what other threads do does not count, where the system tells it.
fn computed() -> Duration {
    static START: LazyLock<Moment> = LazyLock::new(Moment::now);
    // The system counts what a thread computes when it gives way.
    std::thread::yield_now();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

fn time_of(text: &str) -> Duration {
    let name = if text.starts_with("BEGIN") { "a.ics" } else { "a.yaml" };
    let calendar = "{apiVersion: plimsoll/v1, kind: Calendar, metadata: {id: b}, spec: {time_zone: UTC, hours: [], holidays: [a.ics]}}";
    let measure = |_| {
        let start = computed();
        let _ = load(&[File { name, text }, File { name: "b.yaml", text: calendar }]);
        computed() - start
    };
    (0..2).map(measure).min().expect("a measurement")
}

#[test]
fn the_time_of_a_file_grows_as_its_length() {
    for ((what, short), (_, long)) in growing(6_000).iter().zip(&growing(96_000)) {
        // Sixteen times the length; what is quadratic takes 256 times as long.
        let (short, long) = (time_of(short), time_of(long));
        assert!(long <= 90 * short.max(Duration::from_millis(1)), "{what}: {short:?}, then {long:?}");
    }
}

#[test]
fn a_file_of_names_that_are_repeated_in_each_path_is_refused() {
    // 60 levels, each with a name of 1,000 letters, and 50,000 values at the bottom: 3 GB of paths from 160 kB.
    let long = "x".repeat(1_000);
    let text = format!("{}[{}0]{}", format!("{{{long}: ").repeat(60), "0,".repeat(50_000), "}".repeat(60));
    let problems = load(&[File { name: "deep.yaml", text: &text }]).expect_err("refused");
    let expected = "deep.yaml:1: found more than 32 bytes of paths for each byte of the file, expected shorter names of \
                    fields, or fewer values below them";
    assert_eq!(listed(&problems), [expected]);
}

#[test]
fn anchors_and_aliases_of_much_text_are_refused() {
    // 64,000 letters count as 1,001 values, and a hundred aliases repeat them: 100,100 values.
    let long = "x".repeat(64_000);
    let text = format!("a: &a {long}\nb: [{}*a]\n", "*a, ".repeat(99));
    let problems = load(&[File { name: "long.yaml", text: &text }]).expect_err("refused");
    assert_eq!(
        listed(&problems),
        ["long.yaml:2: found aliases that repeat 100100 values, expected at most 100000 repeated values in a file"]
    );
    // 40 anchors, one around the other, each keeps the 3,000 values at the bottom, and what lies between: the 34th from
    // within keeps the 102,000th.
    let text = format!("a: {}{}0{}\n", "&a [".repeat(40), "0, ".repeat(2_999), "]".repeat(40));
    let problems = load(&[File { name: "nested.yaml", text: &text }]).expect_err("refused");
    let kept: usize = (1..=34).map(|level| 3_000 + level).sum();
    assert_eq!(
        listed(&problems),
        [format!(
            "nested.yaml:1: found anchors that keep {kept} values, expected at most 100000 kept values in a file"
        )]
    );
}

#[test]
fn rules_without_end_end() {
    let event = |rule: &str| format!("BEGIN:VEVENT\nDTSTART;VALUE=DATE:20260101\nRRULE:{rule}\nEND:VEVENT\n");
    for rule in [
        "FREQ=DAILY",
        "FREQ=DAILY;COUNT=4000000000",
        "FREQ=DAILY;COUNT=1000000000;INTERVAL=65535",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1;BYSETPOS=-5",
        "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;WKST=SU",
        "FREQ=YEARLY;BYWEEKNO=53;BYYEARDAY=-366",
        "FREQ=DAILY;UNTIL=99991231",
        "FREQ=YEARLY;INTERVAL=99999999999999999999",
        "FREQ=YEARLY;BYDAY=+99999999999MO",
    ] {
        let calendar = CORPUS.iter().find(|(name, _)| name == "calendar.yaml").expect("a calendar").clone();
        let text = format!("BEGIN:VCALENDAR\n{}END:VCALENDAR\n", event(rule));
        let start = Moment::now();
        let result = loaded(&[calendar, ("holidays.ics".to_owned(), text)]);
        // A generous limit: each takes less than a second.
        assert!(start.elapsed() < Duration::from_secs(20), "{rule}");
        if let Ok(definitions) = result {
            // From 2026 to 2060 there are 34 years of at most 366 days, and the day that is listed.
            assert!(definitions.calendars["office"][0].holidays.len() <= 1 + 34 * 366, "{rule}");
        }
    }
}
