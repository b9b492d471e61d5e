//! Questions of tools about the catalog, in words that are understood here.
//!
//! Tools ask for what Postgres has and this catalog has not: defaults, sequences, constraints, indexes, rules. They do so
//! by functions and types that DataFusion lacks, so that a question whose answer is "none" could not even be planned. What
//! is asked of such a table is that none: a query over it has no rows, a value from it is null. A statement that reads any
//! other table is left as it is, whatever else is named in it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, GroupByExpr,
    Ident, JoinOperator, ObjectName, Query, Select, SelectItem, SetExpr, Statement, TableFactor, TableWithJoins, Value,
    VisitMut, VisitorMut, visit_relations,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Span;

use crate::dictionary::DICTIONARY;
use crate::session::{CATALOG as DATABASE, CURRENT, HISTORY};
use crate::views::is_ours;

/// The schemas whose tables are not the catalog's.
const OURS: [&str; 3] = [CURRENT, HISTORY, DICTIONARY];

/// Tables of the catalog that say nothing of any table here.
const EMPTY: [&str; 15] = [
    "pg_attrdef",
    "pg_collation",
    "pg_constraint",
    "pg_foreign_table",
    "pg_index",
    "pg_inherits",
    "pg_policy",
    "pg_proc",
    "pg_publication",
    "pg_publication_rel",
    "pg_rewrite",
    "pg_rule",
    "pg_sequence",
    "pg_statistic_ext",
    "pg_trigger",
];

/// Functions of the catalog that find nothing.
const NOTHING: [&str; 10] = [
    "pg_get_function_result",
    "pg_get_functiondef",
    "pg_get_ruledef",
    "pg_get_serial_sequence",
    "pg_get_triggerdef",
    "pg_get_viewdef",
    "pg_size_pretty",
    "pg_table_size",
    "pg_tablespace_location",
    "shobj_description",
];

/// Columns of the catalog that hold nothing, or are not even there: options of tables and of users, who was granted
/// what, what a setting is without a file, and which table a row is of.
const HOLDS_NOTHING: [&str; 11] = [
    "attacl",
    "boot_val",
    "datacl",
    "defaclacl",
    "lanacl",
    "nspacl",
    "relacl",
    "reloptions",
    "setconfig",
    "spcacl",
    "tableoid",
];

/// The functions that tell what a column means, and what a table does.
const OF_COLUMN: &str = "col_description";
const OF_TABLE: &str = "obj_description";

/// What makes an array of a query, which DataFusion does not: of the options of a table, of the groups of a user. And what
/// makes a text of it.
const ARRAY: &str = "array";
const OF_ARRAY: &str = "array_to_string";

/// The word for the database that a client is connected to.
const DATABASE_OF_CLIENT: &str = "current_catalog";

/// The function that tells what is found without naming a schema. datafusion-pg-catalog says it of everything.
const IS_VISIBLE: &str = "pg_table_is_visible";
/// The end of the names of others like it: types, operators and the like are Postgres' own here, which everybody sees.
const ARE_VISIBLE: &str = "_is_visible";
const VISIBLE: &str = "SELECT seen.oid FROM pg_catalog.pg_class seen JOIN pg_catalog.pg_namespace space \
                       ON space.oid = seen.relnamespace WHERE space.nspname IN ('public', 'pg_catalog')";

/// Parts of questions as tools write them, and what they come to.
const WRITTEN: [(&str, &str); 3] = [
    // JDBC: without a schema it is looked for among ours alone.
    ("'pg_class'::regclass", "'pg_catalog.pg_class'::regclass"),
    // JDBC: the catalog tells functions by their names, not by their numbers.
    ("'pg_catalog.array_in'::regproc", "'array_in'"),
    ("'array_in'::regproc", "'array_in'"),
];

/// Whether a statement reads a table that is not the catalog's: then it means what it says.
pub(super) fn reads_ours(statement: &Statement) -> bool {
    let names_ours = |name: &ObjectName| {
        let mut parts = name.0.iter().rev().filter_map(|part| part.as_ident()).map(|part| part.value.to_lowercase());
        match (parts.next(), parts.next()) {
            (Some(_), Some(schema)) => OURS.contains(&schema.as_str()),
            (Some(name), None) => is_ours(&name),
            _ => false,
        }
    };
    visit_relations(statement, |name| if names_ours(name) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        .is_break()
}

/// Whether a text may ask for the catalog: it has letters in it as the catalog's tables, functions and types have.
pub(super) fn names_catalog(text: &str) -> bool {
    let text = text.to_lowercase();
    ["pg_", "information_schema", "::reg", "as regclass", "_description(", DATABASE_OF_CLIENT]
        .iter()
        .any(|part| text.contains(part))
}

/// A text before it is parsed.
pub(super) fn text(text: &str) -> String {
    WRITTEN.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A statement before it is planned.
pub(super) fn statement(mut statement: Statement) -> Statement {
    let _ = VisitMut::visit(&mut statement, &mut Rewrite);
    statement
}

struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        // What becomes of a column must not change its name.
        for (place, item) in select.projection.iter_mut().enumerate() {
            if let SelectItem::UnnamedExpr(expr) = item
                && (is_database(expr)
                    || *expr == null()
                    || matches!(expr, Expr::Subquery(_) | Expr::Function(_)) && is_rewritten(expr))
            {
                let alias = Ident::with_quote('"', format!("{}_{place}", name_of(expr)));
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            } else if let SelectItem::UnnamedExpr(expr) = item
                && holds_nothing(expr)
            {
                let alias = Ident::with_quote('"', name_of(expr));
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let is_one_row = !is_grouped(select) && select.projection.iter().any(is_aggregate);
        if !is_one_row && select.from.iter().any(has_no_rows) {
            make_empty(select);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if is_empty(query) {
            query.order_by = None;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if is_database(expr) {
            *expr = Expr::value(Value::SingleQuotedString(DATABASE.to_owned()));
        }
        let is_nothing = match expr {
            Expr::Subquery(query) => {
                make_one_row(query);
                is_empty(query)
            }
            Expr::Function(called) => match last(&called.name).as_deref().and_then(|name| by_a_query(name, called)) {
                Some(rewritten) => {
                    *expr = rewritten;
                    false
                }
                None => finds_nothing(expr),
            },
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => holds_nothing(expr),
            Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => **left == null() && **right == null(),
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                if let Some(escaped) = escape_char.as_ref().and_then(|escape| by_backslash(pattern, &escape.value)) {
                    **pattern = escaped;
                    *escape_char = None;
                }
                false
            }
            _ => false,
        };
        if is_nothing {
            *expr = null();
        }
        ControlFlow::Continue(())
    }
}

fn is_database(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(name) => name.value.eq_ignore_ascii_case(DATABASE_OF_CLIENT),
        Expr::Function(called) => last(&called.name).as_deref() == Some(DATABASE_OF_CLIENT),
        _ => false,
    }
}

fn holds_nothing(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(name) => HOLDS_NOTHING.contains(&name.value.as_str()),
        Expr::CompoundIdentifier(names) => {
            names.last().is_some_and(|name| HOLDS_NOTHING.contains(&name.value.as_str()))
        }
        _ => false,
    }
}

fn null() -> Expr {
    Expr::value(Value::Null)
}

fn no() -> Expr {
    Expr::value(Value::Boolean(false))
}

/// The last part of a name, in lower case, where it has no other schema than the catalog's.
fn last(name: &ObjectName) -> Option<String> {
    let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    let (last, schema) = parts.split_last()?;
    let is_of_catalog = schema.last().is_none_or(|schema| schema.value.eq_ignore_ascii_case("pg_catalog"));
    is_of_catalog.then(|| last.value.to_lowercase())
}

fn is_rewritten(expr: &Expr) -> bool {
    let Expr::Function(Function { name, .. }) = expr else { return true };
    let looks_up =
        |name: String| [OF_COLUMN, OF_TABLE, ARRAY, OF_ARRAY].contains(&name.as_str()) || name.ends_with(ARE_VISIBLE);
    finds_nothing(expr) || last(name).is_some_and(looks_up)
}

fn finds_nothing(expr: &Expr) -> bool {
    let Expr::Function(Function { name, args, .. }) = expr else { return false };
    let is_of_nothing = |list: &FunctionArgumentList| matches!(list.args.first(), Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) if *first == null());
    last(name).is_some_and(|name| match (name.as_str(), args) {
        (ARRAY, FunctionArguments::Subquery(_)) => true,
        (OF_ARRAY, FunctionArguments::List(list)) => is_of_nothing(list),
        (name, _) => NOTHING.contains(&name),
    })
}

/// What a function comes to that looks something up.
fn by_a_query(name: &str, called: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &called.args else { return None };
    let arguments: Vec<&Expr> = list
        .args
        .iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
            _ => None,
        })
        .collect();
    let told = |table: &Expr, number: &str| {
        parsed(&format!(
            "(SELECT max(told.description) FROM pg_catalog.pg_description told \
             WHERE told.objoid = {table} AND told.objsubid = {number})"
        ))
    };
    match (name, &arguments[..]) {
        (IS_VISIBLE, [table]) => parsed(&format!("{table} IN ({VISIBLE})")),
        (name, [_]) if name.ends_with(ARE_VISIBLE) => Some(Expr::value(Value::Boolean(true))),
        (OF_COLUMN, [table, number]) => told(table, &number.to_string()),
        (OF_TABLE, [table, ..]) => told(table, "0"),
        _ => None,
    }
}

/// A value that is looked up in the catalog is the only one, which has to be said where what it is looked up by comes from
/// outside.
fn make_one_row(query: &mut Query) {
    let SetExpr::Select(select) = &mut *query.body else { return };
    let is_catalog = |read: &TableWithJoins| {
        let TableFactor::Table { name, .. } = &read.relation else { return false };
        read.joins.is_empty() && last(name).is_some_and(|name| name.starts_with("pg_"))
    };
    if is_grouped(select) || select.from.len() != 1 || !select.from.iter().all(is_catalog) {
        return;
    }
    if let [item @ (SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })] = &mut select.projection[..]
        && !is_aggregate(item)
        && let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
        && let Some(only) = parsed(&format!("max({expr})"))
    {
        *expr = only;
    }
}

fn parsed(text: &str) -> Option<Expr> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_expr().ok()
}

fn is_empty(query: &Query) -> bool {
    match &*query.body {
        SetExpr::Select(select) => select.from.is_empty() && select.selection == Some(no()),
        SetExpr::Query(query) => is_empty(query),
        _ => false,
    }
}

/// Whether what is read is empty, or joined with what is so that no row is left.
fn has_no_rows(read: &TableWithJoins) -> bool {
    let inner = read.joins.iter().filter(|join| {
        matches!(join.join_operator, JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_))
    });
    std::iter::once(&read.relation).chain(inner.map(|join| &join.relation)).any(|relation| match relation {
        TableFactor::Table { name, args: None, .. } => last(name).is_some_and(|name| EMPTY.contains(&name.as_str())),
        TableFactor::Derived { subquery, .. } => is_empty(subquery),
        _ => false,
    })
}

fn is_grouped(select: &Select) -> bool {
    !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty())
}

fn is_aggregate(item: &SelectItem) -> bool {
    const AGGREGATES: [&str; 8] = ["array_agg", "avg", "bool_and", "bool_or", "count", "max", "min", "string_agg"];
    let mut expr = match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr,
        _ => return false,
    };
    while let Expr::Cast { expr: inner, .. } | Expr::Nested(inner) = expr {
        expr = inner;
    }
    matches!(expr, Expr::Function(called) if last(&called.name).is_some_and(|name| AGGREGATES.contains(&name.as_str())))
}

/// The same columns, and no rows. A select of all columns is left as it is, for its columns are not known here.
fn make_empty(select: &mut Select) {
    let mut names: Vec<String> = Vec::with_capacity(select.projection.len());
    for item in &select.projection {
        let name = match item {
            SelectItem::UnnamedExpr(expr) => name_of(expr),
            SelectItem::ExprWithAlias { alias, .. } => alias.value.clone(),
            _ => return,
        };
        let count = names.iter().filter(|known| **known == name).count();
        names.push(if count == 0 { name } else { format!("{name}_{}", names.len()) });
    }
    let column = |name: String| SelectItem::ExprWithAlias { expr: null(), alias: Ident::with_quote('"', name) };
    select.projection = names.into_iter().map(column).collect();
    select.from.clear();
    select.selection = Some(no());
    (select.distinct, select.having) = (None, None);
    select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
}

/// What Postgres calls a column.
fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => name.value.clone(),
        Expr::CompoundIdentifier(names) => names.last().map_or_else(String::new, |name| name.value.clone()),
        Expr::Function(called) => last(&called.name).unwrap_or_else(|| "?column?".to_owned()),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => name_of(expr),
        Expr::Subquery(query) => match &*query.body {
            SetExpr::Select(select) => match &select.projection[..] {
                [SelectItem::UnnamedExpr(expr)] => name_of(expr),
                [SelectItem::ExprWithAlias { alias, .. }] => alias.value.clone(),
                _ => "?column?".to_owned(),
            },
            _ => "?column?".to_owned(),
        },
        _ => "?column?".to_owned(),
    }
}

/// A pattern in which the backslash escapes instead of another character.
fn by_backslash(pattern: &Expr, escape: &Value) -> Option<Expr> {
    let Value::SingleQuotedString(escape) = escape else { return None };
    let escape = escape.chars().next().filter(|escape| !['\\', '\''].contains(escape))?;
    let written = match pattern {
        Expr::Value(written) => written.value.clone().into_string(),
        _ => None,
    };
    let Some(written) = written else {
        // Of a pattern that comes later, twice the character in a row is not told from once.
        return parsed(&format!("replace({pattern}, '{escape}', '\\')"));
    };
    let (mut text, mut letters) = (String::new(), written.chars());
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter == escape => {
                text.push('\\');
                text.extend(letters.next());
            }
            '\\' => text.push_str("\\\\"),
            letter => text.push(letter),
        }
    }
    Some(Expr::Value(Value::SingleQuotedString(text).with_span(Span::empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        let mut parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).expect("a statement");
        statement(parsed.remove(0)).to_string()
    }

    #[test]
    fn whoever_reads_a_table_of_ours_asks_what_is_written() {
        for (asked, expected) in [
            (
                "SELECT (SELECT count(*) FROM outages o WHERE o.service = s.service) FROM services s WHERE name = 'pg_'",
                true,
            ),
            ("SELECT * FROM history.epochs WHERE topic = 'pg_'", true),
            ("SELECT 'pg_' FROM \"plimsoll\".\"public\".\"clocks\"", true),
            ("SELECT * FROM pg_class WHERE relname IN (SELECT 'pg_' FROM Attainment_Known_At('2026-01-01'))", true),
            ("SELECT * FROM dictionary.columns, pg_class", true),
            ("SELECT * FROM pg_catalog.pg_class c JOIN information_schema.columns k ON true", false),
            ("SELECT pg_catalog.pg_table_is_visible(1), 'outages'::regclass", false),
        ] {
            let parsed = Parser::parse_sql(&PostgreSqlDialect {}, asked).expect("a statement");
            assert!(names_catalog(asked), "{asked}");
            assert_eq!(reads_ours(&parsed[0]), expected, "{asked}");
        }
    }

    #[test]
    fn what_the_catalog_has_none_of_is_none() {
        for (asked, understood) in [
            (
                "SELECT i.indkey, count(*) FROM pg_catalog.pg_index i GROUP BY 1",
                "SELECT NULL AS \"indkey\", NULL AS \"count\" WHERE false",
            ),
            ("SELECT count(*) FROM pg_index", "SELECT count(*) FROM pg_index"),
            ("SELECT a.x, (SELECT d.y FROM pg_attrdef d ORDER BY 1) FROM a", "SELECT a.x, NULL AS \"y_1\" FROM a"),
            (
                "SELECT (SELECT t.y FROM pg_type t WHERE t.x = a.x) AS y FROM a",
                "SELECT (SELECT max(t.y) FROM pg_type t WHERE t.x = a.x) AS y FROM a",
            ),
            ("SELECT 1 FROM a WHERE x LIKE $1 ESCAPE '/'", "SELECT 1 FROM a WHERE x LIKE replace($1, '/', '\\')"),
            (
                "SELECT c.oid FROM pg_class c LEFT JOIN pg_index i ON true",
                "SELECT c.oid FROM pg_class c LEFT JOIN pg_index i ON true",
            ),
            ("SELECT a.x FROM (SELECT 1 AS x FROM pg_trigger) a, b", "SELECT NULL AS \"x\" WHERE false"),
            (
                "SELECT NULL, NULL, current_catalog FROM pg_class",
                "SELECT NULL AS \"?column?_0\", NULL AS \"?column?_1\", \
             'plimsoll' AS \"current_catalog_2\" FROM pg_class",
            ),
            ("SELECT * FROM other.pg_index", "SELECT * FROM other.pg_index"),
            ("SELECT pg_catalog.pg_get_viewdef(a.b, true) AS c FROM a", "SELECT NULL AS c FROM a"),
            (
                "SELECT pg_catalog.obj_description(a.b, 'pg_class') AS c FROM a",
                "SELECT (SELECT max(told.description) FROM pg_catalog.pg_description told \
                 WHERE told.objoid = a.b AND told.objsubid = 0) AS c FROM a",
            ),
            (
                "SELECT c.relacl, pg_catalog.array_to_string(n.nspacl, ', ') AS acl FROM pg_class c, pg_namespace n",
                "SELECT NULL AS \"relacl\", NULL AS acl FROM pg_class c, pg_namespace n",
            ),
            (
                "SELECT t.typname FROM pg_type t WHERE pg_catalog.pg_type_is_visible(t.oid)",
                "SELECT t.typname FROM pg_type t WHERE true",
            ),
            (
                "SELECT pg_catalog.pg_tablespace_location(oid) FROM pg_catalog.pg_tablespace",
                "SELECT NULL AS \"pg_tablespace_location_0\" FROM pg_catalog.pg_tablespace",
            ),
            ("SELECT 1 FROM a WHERE x NOT LIKE 'pg/_%' ESCAPE '/'", "SELECT 1 FROM a WHERE x NOT LIKE 'pg\\_%'"),
        ] {
            assert_eq!(rewritten(asked), understood, "{asked}");
        }
    }
}
