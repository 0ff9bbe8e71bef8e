//! Compares two JSON values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A place where two values differ.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Difference {
    /// `totals.rows`, `sources[a.jsonl].bytes`, `units[3]`.
    pub(crate) path: String,
    /// What the first value has there, if anything.
    pub(crate) first: Option<Value>,
    /// What the second one has.
    pub(crate) second: Option<Value>,
}

impl Difference {
    /// `` `totals.rows` is 5 in the manifest, 6 here ``, where the arguments name the two sides.
    #[must_use]
    pub(crate) fn shown(&self, first: &str, second: &str) -> String {
        let Self { path, first: old, second: new } = self;
        match (old, new) {
            (Some(old), Some(new)) => format!("`{path}` is {} {first}, but {} {second}", brief(old), brief(new)),
            (Some(_), None) => format!("`{path}` is {first}, but not {second}"),
            (None, _) => format!("`{path}` is not {first}, but {second}"),
        }
    }
}

/// All differences, in the order of the first value. Lists of things with a `name` or a `path` are compared by these.
#[must_use]
pub(crate) fn differences(first: &Value, second: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    differ("", Some(first), Some(second), &mut found);
    found
}

fn differ(path: &str, first: Option<&Value>, second: Option<&Value>, found: &mut Vec<Difference>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (first, second) {
        _ if first == second => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                differ(&below(key), old.get(key), new.get(key), found);
            }
        }
        // A list of words, such as columns, is compared as a whole.
        (Some(Value::Array(old)), Some(Value::Array(new))) if !old.iter().chain(new).all(Value::is_string) => {
            let before = found.len();
            match old.iter().chain(new).map(name).collect::<Option<Vec<&str>>>() {
                Some(names) => {
                    let (old, new) = (by_name(old), by_name(new));
                    for one in names.into_iter().collect::<BTreeSet<_>>() {
                        differ(&format!("{path}[{one}]"), old.get(one).copied(), new.get(one).copied(), found);
                    }
                }
                None => {
                    for place in 0..old.len().max(new.len()) {
                        differ(&format!("{path}[{place}]"), old.get(place), new.get(place), found);
                    }
                }
            }
            if found.len() == before {
                // The same items in another order.
                found.push(Difference { path: path.to_owned(), first: first.cloned(), second: second.cloned() });
            }
        }
        _ => found.push(Difference { path: path.to_owned(), first: first.cloned(), second: second.cloned() }),
    }
}

fn by_name(list: &[Value]) -> BTreeMap<&str, &Value> {
    list.iter().filter_map(|item| Some((name(item)?, item))).collect()
}

/// The key that finds an item in a list.
fn name(item: &Value) -> Option<&str> {
    ["name", "path", "index"].into_iter().find_map(|key| item.get(key)?.as_str())
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(70) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// An error and its causes, on one line.
#[must_use]
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_compared_by_name_and_the_rest_by_place() {
        let first =
            serde_json::json!({"a": {"b": 1}, "list": [1, 2], "sources": [{"name": "x", "n": 1}, {"name": "y"}]});
        let second = serde_json::json!({"a": {"b": 2}, "list": [1], "sources": [{"name": "z"}, {"name": "x", "n": 2}]});
        let shown: Vec<String> = differences(&first, &second).iter().map(|one| one.shown("there", "here")).collect();
        assert_eq!(
            shown,
            [
                "`a.b` is 1 there, but 2 here",
                "`list[1]` is there, but not here",
                "`sources[x].n` is 1 there, but 2 here",
                "`sources[y]` is there, but not here",
                "`sources[z]` is not there, but here",
            ]
        );
        let turned = serde_json::json!([{"name": "y"}, {"name": "x"}]);
        assert_eq!(differences(&serde_json::json!([{"name": "x"}, {"name": "y"}]), &turned).len(), 1);
        assert_eq!(differences(&first, &first), []);
    }
}
