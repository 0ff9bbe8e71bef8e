//! Manifests, plans, commit records and specs of any bytes are read or refused; what is read is written and read again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ul2_prep::denoise::Spec;
use ul2_prep::output::commit::CommitRecord;
use ul2_prep::json::to_json;
use ul2_prep::output::manifest::Manifest;
use ul2_prep::plan::Plan;

/// Reads, writes, reads and writes.
fn again<T: Serialize + DeserializeOwned>(bytes: &[u8], prepare: impl Fn(&mut T)) {
    let Ok(mut read) = serde_json::from_slice::<T>(bytes) else { return };
    let _ = to_json(&read);
    prepare(&mut read);
    let written = to_json(&read);
    let second: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(to_json(&second), written);
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    // Numbers with a fraction are read as the Python package `tokenizers` does, which may be off in the last bit: they are left out.
    match choice % 4 {
        0 => again(bytes, |plan: &mut Plan| plan.spec = Value::Null),
        1 => again(bytes, |_: &mut CommitRecord| {}),
        2 => again(bytes, |manifest: &mut Manifest| {
            manifest.spec = Value::Null;
            manifest.totals.fill_rate = None;
        }),
        _ => {
            let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
            let Ok(spec) = Spec::from_json(value) else { return };
            let written = spec.to_json();
            assert_eq!(Spec::from_json(written.clone()).expect("what was written can be read").to_json(), written);
        }
    }
});
