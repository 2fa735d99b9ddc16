//! Reading the JSON Lines that `peer … --json` prints.

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

/// Parses one JSON value a line.
pub fn lines(text: &str) -> Result<Vec<Value>> {
    let parse = |line| serde_json::from_str(line).with_context(|| format!("this line is not JSON: {line}"));
    text.lines().filter(|line| !line.trim().is_empty()).map(parse).collect()
}

/// The string at a JSON pointer (RFC 6901) such as `/holder/name`.
pub fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.ok_or_else(|| anyhow!("no string at {pointer} in {value}"))
}

/// The number at a JSON pointer.
pub fn number(value: &Value, pointer: &str) -> Result<u64> {
    let found = value.pointer(pointer).and_then(Value::as_u64);
    found.ok_or_else(|| anyhow!("no number at {pointer} in {value}"))
}

/// The elements of the array at a JSON pointer.
pub fn array<'a>(value: &'a Value, pointer: &str) -> Result<&'a [Value]> {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found
        .map(Vec::as_slice)
        .ok_or_else(|| anyhow!("no array at {pointer} in {value}"))
}

/// The names of all holders in lines of `peer lookup --json`, in alphabetical order.
pub fn holder_names(documents: &[Value]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for document in documents {
        for holder in array(document, "/holders")? {
            names.push(text(holder, "/name")?.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_pointer_or_named_as_missing() {
        let all = lines("{\"a\":{\"b\":[\"x\"]},\"n\":3}\n\n{}\n").unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(text(&all[0], "/a/b/0").unwrap(), "x");
        assert_eq!(number(&all[0], "/n").unwrap(), 3);
        assert_eq!(array(&all[0], "/a/b").unwrap().len(), 1);
        assert_eq!(text(&all[1], "/a").unwrap_err().to_string(), "no string at /a in {}");
        assert!(lines("{").unwrap_err().to_string().contains("not JSON"));
    }
}
