//! Arrays as Postgres writes them in a text, `'{a,b}'`: DataFusion takes such a text for an array of one element.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Array, BinaryOperator, DataType, Expr, Statement, Value, VisitMut, VisitorMut};

/// A statement in which such texts are arrays.
///
/// # Errors
/// For a text that is none, in words for who wrote it.
pub(super) fn statement(mut statement: Statement) -> Result<Statement, String> {
    match VisitMut::visit(&mut statement, &mut Read) {
        ControlFlow::Continue(()) => Ok(statement),
        ControlFlow::Break(wrong) => Err(wrong),
    }
}

struct Read;

impl VisitorMut for Read {
    type Break = String;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        match read(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(wrong) => ControlFlow::Break(wrong),
        }
    }
}

fn read(expr: &mut Expr) -> Result<(), String> {
    match expr {
        Expr::Cast { expr, data_type: DataType::Array(_), .. } => {
            if let Some(text) = written(expr) {
                **expr = Expr::Array(Array { elem: elements(&text)?, named: true });
            }
        }
        Expr::AnyOp { left, compare_op, right, .. } | Expr::AllOp { left, compare_op, right } => {
            let Some(text) = written(right) else { return Ok(()) };
            let list = elements(&text)?;
            let (left, compare_op) = (left.clone(), compare_op.clone());
            let is_any = matches!(expr, Expr::AnyOp { .. });
            // Each text is read as a value of what stands on the left, which holds of a list and not of an array.
            *expr = match (is_any, compare_op) {
                (_, BinaryOperator::Eq | BinaryOperator::NotEq) if list.is_empty() => {
                    Expr::value(Value::Boolean(!is_any))
                }
                (true, BinaryOperator::Eq) => Expr::InList { expr: left, list, negated: false },
                (false, BinaryOperator::NotEq) => Expr::InList { expr: left, list, negated: true },
                (_, other) => {
                    return Err(format!(
                        "{left} {other} {} of '{text}' is not understood; give the array its type: '{text}'::text[]",
                        if is_any { "ANY" } else { "ALL" }
                    ));
                }
            };
        }
        _ => {}
    }
    Ok(())
}

/// The text that an expression is.
fn written(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) => written(inner),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// The elements of an array, as Postgres reads them (its manual, 8.15.6).
fn elements(text: &str) -> Result<Vec<Expr>, String> {
    let malformed = || format!("'{text}' is no array; write one as '{{a,b}}', and {{}} \" \\ , in it as '{{\"a,b\"}}'");
    let inner = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(malformed)?;
    if inner.trim().is_empty() {
        return Ok(Vec::new());
    }
    let (mut found, mut element, mut is_within) = (Vec::new(), Element::default(), false);
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                let escaped = letters.next().ok_or_else(malformed)?;
                element.push(escaped);
                element.is_quoted |= !is_within;
            }
            '"' if is_within => is_within = false,
            '"' if element.is_quoted || !element.text.trim().is_empty() => return Err(malformed()),
            '"' => (element, is_within) = (Element { text: String::new(), is_quoted: true }, true),
            letter if is_within => element.push(letter),
            ',' => found.push(std::mem::take(&mut element).value().ok_or_else(malformed)?),
            '{' | '}' => {
                return Err(format!("'{text}' has arrays in it, which are not read here; write ARRAY[ARRAY[...]]"));
            }
            letter if element.is_quoted && letter.is_whitespace() => {}
            letter => element.push(letter),
        }
    }
    if is_within {
        return Err(malformed());
    }
    found.push(element.value().ok_or_else(malformed)?);
    Ok(found)
}

/// One element as far as it was read.
#[derive(Default)]
struct Element {
    text: String,
    is_quoted: bool,
}

impl Element {
    fn push(&mut self, letter: char) {
        self.text.push(letter);
    }

    /// Its value; none when there is nothing between two commas.
    fn value(self) -> Option<Expr> {
        let text = if self.is_quoted { &self.text } else { self.text.trim() };
        match text {
            "" if !self.is_quoted => None,
            text if !self.is_quoted && text.eq_ignore_ascii_case("null") => Some(Expr::value(Value::Null)),
            text => Some(Expr::value(Value::SingleQuotedString(text.to_owned()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let mut parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).expect("a statement");
        statement(parsed.remove(0)).map(|statement| statement.to_string())
    }

    #[test]
    fn texts_of_arrays_are_read_as_postgres_does() {
        for (asked, understood) in [
            ("SELECT '{a,b}'::text[]", "SELECT ARRAY['a', 'b']::TEXT[]"),
            ("SELECT CAST('{ 1 , 2 }' AS INT[])", "SELECT CAST(ARRAY['1', '2'] AS INT[])"),
            ("SELECT '{}'::text[]", "SELECT ARRAY[]::TEXT[]"),
            (
                r#"SELECT '{"a,b", "say \"so\"", NULL, "NULL", a b}'::text[]"#,
                r#"SELECT ARRAY['a,b', 'say "so"', NULL, 'NULL', 'a b']::TEXT[]"#,
            ),
            ("SELECT 'met' = ANY('{met}'::text[])", "SELECT 'met' = ANY(ARRAY['met']::TEXT[])"),
            ("SELECT a = ANY('{met,breached}') FROM b", "SELECT a IN ('met', 'breached') FROM b"),
            ("SELECT a <> ALL('{met}') FROM b", "SELECT a NOT IN ('met') FROM b"),
            ("SELECT a = ANY('{}') FROM b", "SELECT false FROM b"),
            ("SELECT a <> ALL('{}') FROM b", "SELECT true FROM b"),
            ("SELECT a = ANY(c) FROM b", "SELECT a = ANY(c) FROM b"),
            ("SELECT '{a,b}'::text", "SELECT '{a,b}'::TEXT"),
        ] {
            assert_eq!(read(asked), Ok(understood.to_owned()), "{asked}");
        }
    }

    #[test]
    fn what_is_no_array_is_refused() {
        for asked in [
            "SELECT 'a,b'::text[]",
            "SELECT '{a,,b}'::text[]",
            "SELECT '{a,}'::text[]",
            "SELECT '{\"a}'::text[]",
            "SELECT '{\"a\"b\"\"}'::text[]",
            "SELECT '{{a},{b}}'::text[]",
            "SELECT 1 > ANY('{1,2}')",
        ] {
            assert!(read(asked).is_err(), "{asked}: {:?}", read(asked));
        }
    }
}
