//! Data sets that were altered, with digests that agree: what only a look at rows and rejects finds.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use fs_err as fs;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use ul2_prep::denoise::{Address, IGNORED};
use ul2_prep::digest::hex;
use ul2_prep::output::digest::{Provenance, RowHash, RowsDigest};
use ul2_prep::output::encoding::PageFormat;
use ul2_prep::output::schema::{self, Column, RowFormat};

use super::{DataSet, Row, read_rows};

/// A change of the rows of the first shard.
pub(crate) fn alter(data_set: &DataSet, change: impl FnOnce(&mut Vec<Row>)) {
    let manifest = data_set.manifest();
    let path = manifest["shards"][0]["path"].as_str().unwrap().to_owned();
    let mut rows = read_rows(&data_set.path(&path));
    change(&mut rows);
    write_rows(data_set, &path, &rows);
    reseal(data_set, &path, &rows);
}

fn write_rows(data_set: &DataSet, path: &str, rows: &[Row]) {
    let spec = data_set.spec();
    let columns = data_set.manifest()["plan"]["columns"].as_array().unwrap().clone();
    let columns: Vec<Column> = columns.iter().map(|name| Column::named(name.as_str().unwrap()).unwrap()).collect();
    let schema = RowFormat::new(&spec, Some(&columns)).unwrap().schema();
    let lists = |name: &str, ids: Vec<&Vec<i32>>| -> ArrayRef {
        let DataType::List(item) = schema.field_with_name(name).unwrap().data_type() else { panic!("a list") };
        let lengths = OffsetBuffer::from_lengths(ids.iter().map(|ids| ids.len()));
        let values: Int32Array = ids.into_iter().flatten().copied().collect::<Vec<i32>>().into();
        Arc::new(ListArray::try_new(item.clone(), lengths, Arc::new(values), None).unwrap())
    };
    let texts = |text: fn(&Row) -> &String| -> ArrayRef {
        Arc::new(StringArray::from(rows.iter().map(|row| text(row).as_str()).collect::<Vec<_>>()))
    };
    let numbers = |number: fn(&Row) -> i32| -> ArrayRef {
        Arc::new(Int32Array::from(rows.iter().map(number).collect::<Vec<_>>()))
    };
    let column = |field: &Arc<Field>| match field.name().as_str() {
        "input_ids" => lists("input_ids", rows.iter().map(|row| &row.input_ids).collect()),
        "labels" => lists("labels", rows.iter().map(|row| &row.labels).collect()),
        "denoiser" => texts(|row| &row.denoiser),
        "source" => texts(|row| &row.source),
        "line" => Arc::new(Int64Array::from(rows.iter().map(|row| row.line).collect::<Vec<_>>())),
        "segment" => numbers(|row| row.segment),
        "epoch" => numbers(|row| row.epoch),
        other => panic!("these rows have no column {other}"),
    };
    let columns = schema.fields().iter().map(column).collect();
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    let properties = schema::properties(&spec, PageFormat::default()).unwrap();
    let options =
        ArrowWriterOptions::new().with_properties(Arc::unwrap_or_clone(properties)).with_skip_arrow_metadata(true);
    let file = fs::File::create(data_set.path(path)).unwrap();
    let mut writer = ArrowWriter::try_new_with_options(file, schema, options).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Makes manifest, commit record and sums agree with a shard: digests, sizes and numbers of rows, not what rows are made of.
fn reseal(data_set: &DataSet, path: &str, rows: &[Row]) {
    let bytes = fs::read(data_set.path(path)).unwrap();
    let spec = data_set.spec();
    let fields = spec.fields();
    let mut digest = RowsDigest::default();
    for row in rows {
        let mut hash = RowHash::default();
        let address = Address {
            line: row.line.cast_unsigned(),
            epoch: u16::try_from(row.epoch).unwrap_or_default(),
            segment: row.segment.cast_unsigned(),
        };
        let from = Provenance { denoiser: &row.denoiser, source: &row.source, address };
        let ignored = row.labels.iter().take_while(|label| **label == IGNORED).count();
        let prefix_length = fields.causal.map(|_| u32::try_from(ignored).unwrap());
        let is_padding = |ids: &[i32], pad: i32| fields.pad && ids.last() == Some(&pad);
        let (mut input_ids, mut labels) = (&row.input_ids[..], &row.labels[..]);
        while is_padding(input_ids, 0) {
            input_ids = &input_ids[..input_ids.len() - 1];
        }
        while is_padding(labels, IGNORED) {
            labels = &labels[..labels.len() - 1];
        }
        hash.add(from, prefix_length, input_ids, labels);
        digest.add(&hash.finish());
    }
    let seal = |file: &mut Value| {
        file["bytes"] = bytes.len().into();
        file["sha256"] = hex(&Sha256::digest(&bytes)).into();
        file["rows"] = rows.len().into();
        file["row_groups"] = 1.into();
        file["rows_digest"] = digest.hex().into();
    };
    rewrite(data_set, "manifest.json", |manifest| {
        seal(&mut manifest["shards"][0]);
        let shards = manifest["shards"].as_array().unwrap().clone();
        let sum = |key: &str| shards.iter().map(|shard| shard[key].as_u64().unwrap()).sum::<u64>();
        manifest["totals"]["rows"] = sum("rows").into();
        manifest["totals"]["shard_bytes"] = sum("bytes").into();
        let mut all = RowsDigest::default();
        for shard in &shards {
            all.add(&RowsDigest::from_hex(shard["rows_digest"].as_str().unwrap()).unwrap());
        }
        manifest["totals"]["rows_digest"] = all.hex().into();
    });
    rewrite(data_set, ".ul2-prep/commits/00000-00000.json", |record| seal(&mut record["file"]));
}

/// A change of a JSON file, with sums that agree.
pub(crate) fn rewrite(data_set: &DataSet, name: &str, change: impl FnOnce(&mut Value)) {
    let mut json = serde_json::from_slice(&fs::read(data_set.path(name)).unwrap()).unwrap();
    change(&mut json);
    fs::write(data_set.path(name), format!("{json:#}\n")).unwrap();
    reseal_sums(data_set);
}

pub(crate) fn reseal_sums(data_set: &DataSet) {
    let sums: BTreeMap<String, String> = data_set.digests();
    let lines = sums.iter().filter(|(name, _)| *name != "SHA256SUMS").map(|(name, sum)| format!("{sum}  {name}\n"));
    fs::write(data_set.path("SHA256SUMS"), lines.collect::<String>()).unwrap();
}

/// A change of the first files of rejects, with digests that agree everywhere.
pub(crate) fn alter_rejects(data_set: &DataSet, change: impl FnOnce(&mut Vec<Value>, &mut Vec<Vec<u8>>)) {
    let (index, lines) = ("rejects/train-00000-00000.jsonl", "rejects/train-00000-00000.lines");
    let (mut entries, mut texts): (Vec<Value>, Vec<Vec<u8>>) = data_set.rejects().into_iter().unzip();
    change(&mut entries, &mut texts);
    let mut offset = 0;
    for (entry, text) in entries.iter_mut().zip(&texts) {
        entry["offset"] = offset.into();
        entry["length"] = text.len().into();
        offset += text.len() + 1;
    }
    let index_bytes: Vec<u8> = entries.iter().flat_map(|entry| format!("{entry}\n").into_bytes()).collect();
    let lines_bytes: Vec<u8> = texts.iter().flat_map(|text| [&text[..], b"\n"].concat()).collect();
    let seal = |files: &mut Value| {
        files["count"] = entries.len().into();
        files["index_sha256"] = hex(&Sha256::digest(&index_bytes)).into();
        files["lines_sha256"] = hex(&Sha256::digest(&lines_bytes)).into();
    };
    fs::write(data_set.path(index), &index_bytes).unwrap();
    fs::write(data_set.path(lines), &lines_bytes).unwrap();
    rewrite(data_set, ".ul2-prep/commits/00000-00000.json", |record| seal(&mut record["rejects"]));
    rewrite(data_set, "manifest.json", |manifest| seal(&mut manifest["rejects"][0]));
}
