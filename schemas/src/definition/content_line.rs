//! The lines of an iCalendar file (RFC 5545, section 3.1): text in, properties out, each with the line it starts on.
//!
//! Written here and not taken from a parser of whole files, because a problem has to name its line, and because nesting
//! without end must not end the process (docs/decisions/0016-calendars.md).

/// One property: `DTSTART;TZID=Europe/Berlin:20260101T080000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property {
    /// The line on which it starts, 1 for the first.
    pub(super) line: usize,
    /// Its name in capitals.
    pub(super) name: String,
    /// Its parameters: the name in capitals, and the value without quotes.
    parameters: Vec<(String, String)>,
    /// What stands after the colon, still escaped.
    pub(super) value: String,
}

impl Property {
    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value as the text that it stands for: `\,` is a comma, `\n` a blank, since names are shown on one line.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(self.value.len());
        let mut letters = self.value.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => text.push(letters.next().map_or('\\', |next| if "nN".contains(next) { ' ' } else { next })),
                _ => text.push(letter),
            }
        }
        text.trim().to_owned()
    }
}

/// All properties of a file in order; a line that is none is given as its number and what it says.
pub(super) fn properties(text: &str) -> Vec<Result<Property, (usize, String)>> {
    let mut unfolded: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        // A line that begins with a blank or a tab continues the one before, without that blank.
        match (line.strip_prefix([' ', '\t']), unfolded.last_mut()) {
            (Some(rest), Some((_, begun))) => begun.push_str(rest),
            _ if line.trim().is_empty() => {}
            _ => unfolded.push((number + 1, line.to_owned())),
        }
    }
    let parsed = |(line, text): (usize, String)| property(line, &text).ok_or((line, text));
    unfolded.into_iter().map(parsed).collect()
}

fn property(line: usize, text: &str) -> Option<Property> {
    let (name, mut rest) = text.split_at(text.find([';', ':'])?);
    if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-') {
        return None;
    }
    let mut parameters = Vec::new();
    while let Some(parameter) = rest.strip_prefix(';') {
        let end = unquoted(parameter, &[';', ':'])?;
        let (name, value) = parameter[..end].split_once('=')?;
        parameters.push((name.to_ascii_uppercase(), value.trim_matches('"').to_owned()));
        rest = &parameter[end..];
    }
    Some(Property { line, name: name.to_ascii_uppercase(), parameters, value: rest.strip_prefix(':')?.to_owned() })
}

/// Where the first of these letters stands that is not in quotes.
fn unquoted(text: &str, wanted: &[char]) -> Option<usize> {
    let mut quoted = false;
    for (place, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            _ if !quoted && wanted.contains(&letter) => return Some(place),
            _ => {}
        }
    }
    None
}
