//! How large a statement gets when it is planned, found out before that.
//!
//! In: a parsed statement. Out: nothing, or an error that says what is too large and what to do. A statement may be short
//! and its plan without end: a common table that names another one twice, which names a third one twice, doubles with each
//! of them, and so do `BETWEEN` within `BETWEEN` and a condition on a sum of sums. The planner writes all of it out and
//! cannot be stopped meanwhile. So an upper bound of what it comes to is counted here, in a time that grows as the text:
//!
//! - *relations*: the name of a table is one, and so is that of a view, since each of ours reads one table; the name of
//!   a common table is all that its query reads.
//!   A query within an expression counts twice: it is optimised with it, and by itself.
//! - *expressions*: every operator, function, column and value, with what the planner writes twice counted twice, and
//!   each column as large as what the query below computes it from.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, ObjectName, ObjectNamePart, Query, Select, Visit, Visitor,
};

use crate::availability;
use crate::error::QueryError;

/// Relations of a statement at most: planning grows with their cube and takes seconds for a hundred, and people join a
/// dozen.
const RELATIONS_MAX: u64 = 64;
/// Expressions at most: with so many, planning takes seconds.
const EXPRESSIONS_MAX: u64 = 20_000;

/// Operators and functions within each other at most, without `AND` and `OR` where they give no name to a column: with a
/// deeper one, names of columns are written out again and again, which takes the cube of their length.
const DEPTH_MAX: u64 = 200;

/// Functions that the planner replaces by a `CASE` with each argument in it twice.
const WRITTEN_TWICE: [&str; 3] = ["coalesce", "ifnull", "nvl"];
/// A list of at most so many values becomes as many comparisons.
const SHORT_LIST: usize = 3;

/// Whether the planner may see a statement.
///
/// # Errors
/// `Invalid` when it gets too large.
pub(crate) fn check(statement: &Statement) -> Result<(), QueryError> {
    let Extent { relations, expressions, depth, .. } = measure(statement);
    let told = |count: u64| if count == u64::MAX { "endlessly many".to_owned() } else { count.to_string() };
    Err(QueryError::Invalid(if relations > RELATIONS_MAX {
        format!(
            "the statement reads {} tables once common tables and queries within expressions are written out, allowed are \
             {RELATIONS_MAX}; name them less often, or ask in parts",
            told(relations)
        )
    } else if expressions > EXPRESSIONS_MAX {
        format!(
            "the statement has {} expressions once columns are replaced by what they are computed from, allowed are \
             {EXPRESSIONS_MAX}; nest them less, or ask in parts",
            told(expressions)
        )
    } else if depth > DEPTH_MAX {
        format!(
            "the statement has an expression of {depth} operators within each other, allowed are {DEPTH_MAX}; shorten it, \
             or compute parts of it in a common table"
        )
    } else {
        return Ok(());
    }))
}

/// What a query comes to at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Extent {
    relations: u64,
    expressions: u64,
    /// The largest of its columns, in expressions.
    column: u64,
    /// The deepest of its expressions.
    depth: u64,
}

/// What the name of a table or view comes to, and a row that is read from none.
const NAMED: Extent = Extent { relations: 1, expressions: 0, column: 1, depth: 0 };

/// What `availability(...)` comes to, whose statement reads a table, joins and sums.
const AVAILABILITY: Extent = Extent { relations: 8, expressions: 80, column: 8, depth: 8 };

fn measure(statement: &Statement) -> Extent {
    let mut measuring = Measuring { queries: vec![Open::default()], common: HashMap::new() };
    let mut statement = statement;
    while let Statement::Explain(explained) = statement {
        statement = &explained.statement;
    }
    let _ = match statement {
        Statement::Statement(statement) => statement.visit(&mut measuring),
        Statement::CopyTo(copy) => match &copy.source {
            CopyToSource::Query(query) => query.visit(&mut measuring),
            CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        _ => ControlFlow::Continue(()),
    };
    measuring.queries.pop().unwrap_or_default().extent
}

/// A query that is being measured.
#[derive(Default)]
struct Open {
    /// The names of its common tables whose queries are still to come; they come before everything else.
    common: VecDeque<String>,
    /// The largest column of what it reads.
    read_column: u64,
    /// How deep in its expressions it is now.
    depth: usize,
    extent: Extent,
}

impl Open {
    fn read(&mut self, other: Extent) {
        self.extent.relations = self.extent.relations.saturating_add(other.relations);
        self.extent.expressions = self.extent.expressions.saturating_add(other.expressions);
        self.extent.depth = self.extent.depth.max(other.depth);
        self.read_column = self.read_column.max(other.column);
    }
}

struct Measuring {
    /// From the outermost to the innermost.
    queries: Vec<Open>,
    /// What common tables come to. A name that is given twice is as large as the larger.
    common: HashMap<String, Extent>,
}

impl Measuring {
    fn last(&mut self) -> Option<&mut Open> {
        self.queries.last_mut()
    }
}

impl Visitor for Measuring {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let common = query.with.iter().flat_map(|with| &with.cte_tables).map(|table| normalized(&table.alias.name));
        self.queries.push(Open { common: common.collect(), ..Open::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let Some(mut open) = self.queries.pop() else { return ControlFlow::Continue(()) };
        let weighed = Weighing::of(query, 1);
        open.extent.expressions = open.extent.expressions.saturating_add(weighed.inlined(open.read_column));
        open.extent.depth = open.extent.depth.max(weighed.done.depth);
        open.extent.column = open.extent.column.max(open.read_column).max(1);
        let Some(outer) = self.queries.last_mut() else { return ControlFlow::Continue(()) };
        let Some(name) = outer.common.pop_front() else {
            outer.read(open.extent);
            if outer.depth > 0 {
                outer.read(open.extent);
            }
            return ControlFlow::Continue(());
        };
        // It is planned also when nobody names it.
        outer.read(Extent { column: 0, ..open.extent });
        let known = self.common.entry(name).or_default();
        known.relations = known.relations.max(open.extent.relations);
        known.expressions = known.expressions.max(open.extent.expressions);
        known.column = known.column.max(open.extent.column);
        known.depth = known.depth.max(open.extent.depth);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if let Some(open) = self.last() {
            for item in &select.projection {
                let weighed = Weighing::of(item, 0);
                open.extent.column = open.extent.column.max(weighed.inlined(open.read_column));
                open.extent.depth = open.extent.depth.max(weighed.done.named_depth);
            }
            if select.from.is_empty() {
                open.read(NAMED);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, _expression: &Expr) -> ControlFlow<()> {
        self.last().into_iter().for_each(|open| open.depth += 1);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _expression: &Expr) -> ControlFlow<()> {
        self.last().into_iter().for_each(|open| open.depth -= 1);
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        let name = match name.0.as_slice() {
            [ObjectNamePart::Identifier(name)] => normalized(name),
            _ => String::new(),
        };
        let named = if name == availability::NAME { AVAILABILITY } else { NAMED };
        let extent = self.common.get(&name).copied().unwrap_or(named);
        if let Some(open) = self.last() {
            open.read(extent);
        }
        ControlFlow::Continue(())
    }
}

fn normalized(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// Expressions, and how many of them are columns.
#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: u64,
    columns: u64,
    /// The deepest of them, without `AND` and `OR`, and with them.
    depth: u64,
    named_depth: u64,
}

/// Counts the expressions of one query, without those of queries in it.
struct Weighing {
    /// How many queries deep the expressions lie that count, and how deep it is now.
    depth: (usize, usize),
    open: Vec<Weight>,
    done: Weight,
    /// How often they are computed: once for each set that rows are grouped by.
    times: u64,
}

impl Weighing {
    fn of(part: &impl Visit, depth: usize) -> Weighing {
        let mut weighing = Weighing { depth: (depth, 0), open: Vec::new(), done: Weight::default(), times: 1 };
        let _ = part.visit(&mut weighing);
        weighing
    }

    /// How many they are when each column is replaced by so many.
    fn inlined(&self, column: u64) -> u64 {
        let Weight { nodes, columns, .. } = self.done;
        nodes.saturating_add(columns.saturating_mul(column)).saturating_mul(self.times)
    }
}

impl Visitor for Weighing {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth.1 += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth.1 -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, _expression: &Expr) -> ControlFlow<()> {
        if self.depth.0 == self.depth.1 {
            self.open.push(Weight::default());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if self.depth.0 != self.depth.1 {
            return ControlFlow::Continue(());
        }
        let below = self.open.pop().unwrap_or_default();
        let (copies, sets) = (copies(expression), sets(expression));
        self.times = self.times.saturating_mul(sets);
        let is_column = matches!(expression, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        let is_logic = matches!(expression, Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. });
        let outer = self.open.last_mut().unwrap_or(&mut self.done);
        outer.depth = outer.depth.max(below.depth + u64::from(!is_logic));
        outer.named_depth = outer.named_depth.max(below.named_depth + 1);
        outer.nodes = outer.nodes.saturating_add(below.nodes.saturating_mul(copies)).saturating_add(1);
        outer.columns = outer.columns.saturating_add(below.columns.saturating_mul(copies));
        outer.columns = outer.columns.saturating_add(u64::from(is_column));
        ControlFlow::Continue(())
    }
}

/// How often the planner writes what an expression is made of.
fn copies(expression: &Expr) -> u64 {
    match expression {
        Expr::Between { .. } | Expr::Case { .. } => 2,
        Expr::InList { list, .. } if list.len() <= SHORT_LIST => list.len() as u64,
        Expr::Function(function) => {
            let name = function.name.to_string().to_lowercase();
            if WRITTEN_TWICE.contains(&name.as_str()) { 2 } else { 1 }
        }
        _ => 1,
    }
}

/// By how many sets of columns rows are grouped where this stands.
fn sets(expression: &Expr) -> u64 {
    match expression {
        Expr::Cube(columns) => 1_u64.checked_shl(columns.len().try_into().unwrap_or(u32::MAX)).unwrap_or(u64::MAX),
        Expr::Rollup(columns) => columns.len() as u64 + 1,
        Expr::GroupingSets(sets) => sets.len() as u64,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParser;

    use super::*;

    fn extent(text: &str) -> Extent {
        let statements = DFParser::parse_sql(text).expect(text);
        measure(&statements[0])
    }

    #[test]
    fn relations_are_those_of_the_statement_written_out() {
        for (text, relations) in [
            ("SELECT * FROM a", 1),
            ("SELECT 1", 1),
            ("SELECT * FROM a, history.b JOIN (SELECT * FROM a) c ON true", 3),
            ("SELECT 1 UNION SELECT 2 UNION SELECT 3", 3),
            // a reads one, b two of a; they are planned once by themselves (1 + 2), and b is named twice (2 + 2).
            ("WITH a AS (SELECT 1), b AS (SELECT * FROM a x JOIN A y ON true) SELECT * FROM b, b z", 7),
            // A name in quotes is another one, and so is one with a schema: 1 for the common table, 1 + 1 named.
            ("WITH a AS (SELECT * FROM x, y) SELECT * FROM \"A\", history.a", 4),
            // The query in the expression counts twice, and so does what is in it: 1 + 2 * (1 + 2 * 1).
            ("SELECT * FROM a WHERE EXISTS (SELECT 1 FROM b WHERE v = (SELECT max(v) FROM c))", 7),
            ("EXPLAIN SELECT * FROM a, b", 2),
            ("COPY (SELECT * FROM a, b) TO 'x'", 2),
        ] {
            assert_eq!(extent(text).relations, relations, "{text}");
        }
    }

    #[test]
    fn expressions_are_those_of_the_statement_written_out() {
        for (text, expressions) in [
            ("SELECT 1", 1),
            // The sum and two columns, each as large as the column of a table, which is one.
            ("SELECT v + v FROM a", 3 + 2),
            ("SELECT v FROM a WHERE v BETWEEN 1 AND 2", 1 + 1 + (1 + 2 * 3) + 2),
            ("SELECT coalesce(v, 1) FROM a", (1 + 2 * 2) + 2),
            ("SELECT v FROM a WHERE v IN (1, 2)", (1 + 1) + (1 + 2 * 3) + 2),
            // Below, v + v has 3 + 2 = 5; above, one column that is 5, and a comparison of one with a value.
            ("SELECT w FROM (SELECT v + v AS w FROM a) WHERE w > 1", 5 + (1 + 5) + (3 + 5)),
            // Two columns, and a count, for each of 2^3 sets; the columns of CUBE are within it.
            ("SELECT count(*) FROM a GROUP BY CUBE (x, y, z)", ((1 + 4) + 3) * 8),
        ] {
            assert_eq!(extent(text).expressions, expressions, "{text}");
        }
    }

    #[test]
    fn logic_is_not_deep_but_in_names() {
        let long = vec!["v > 1"; 100].join(" OR ");
        // A comparison of a column with a value is two deep.
        assert_eq!(extent(&format!("SELECT v FROM a WHERE {long}")).depth, 2);
        assert_eq!(extent(&format!("SELECT {long} FROM a")).depth, 101);
        assert_eq!(extent(&format!("SELECT v FROM a WHERE {} > 1", vec!["v"; 100].join(" + "))).depth, 101);
    }

    #[test]
    fn what_doubles_is_counted_until_it_is_endless() {
        let chain = |count: usize| {
            let doubled = (1..=count).map(|n| format!(", c{n} AS (SELECT * FROM c{0} x JOIN c{0} y ON true)", n - 1));
            format!("WITH c0 AS (SELECT * FROM a){} SELECT * FROM c{count}", doubled.collect::<String>())
        };
        // 1 + 2 + ... + 2^n planned by themselves, and 2^n named.
        for count in [0, 1, 6, 20] {
            assert_eq!(extent(&chain(count)).relations, (1 << (count + 1)) - 1 + (1 << count), "{count}");
        }
        assert_eq!(extent(&chain(100)).relations, u64::MAX);
    }
}
