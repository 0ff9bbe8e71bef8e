//! A line has a text exactly if `serde_json` says that it is an object with that string field.
//!
//! The first byte chooses the field. `serde_json::Value` refuses more than the tool does: deep nesting, numbers that are too large and
//! lone surrogates in values that are not read. There the rule is that no line has a text that is not JSON at all.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;
use ul2_prep::input::jsonl::{FieldPath, is_blank, text, without_mark};

fuzz_target!(|data: &[u8]| {
    let Some((choice, line)) = data.split_first() else { return };
    let keys: &[&str] = [&["text"][..], &["a", "b"], &["", ""]][usize::from(choice % 3)];
    let found = text(line, &FieldPath::new(&keys.join(".")));
    let _ = (is_blank(line), without_mark(1, line));
    match serde_json::from_slice::<Value>(line) {
        Ok(value) => {
            let at_path = keys.iter().try_fold(&value, |value, key| value.as_object()?.get(*key));
            let expected = at_path.and_then(Value::as_str).filter(|text| !text.is_empty());
            assert_eq!(found.as_deref().ok(), expected, "{found:?}");
        }
        Err(_) if serde_json::from_slice::<IgnoredAny>(line).is_ok() && std::str::from_utf8(line).is_ok() => {}
        Err(error) => assert!(found.is_err(), "{error}: {found:?}"),
    }
    if let Err(rejected) = found {
        assert!(!rejected.detail.is_empty() && rejected.detail.len() < 4096);
    }
});
