//! Writes the shards of a unit, one after the other, and commits each.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::arrow::ArrowSchemaConverter;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;

use crate::denoise::{DataSplit, PerSplit};
use crate::output::commit::{CommitRecord, FinishedFile, ReaderPosition, ShardFile, check_records, is_finished};
use crate::output::counts::Counts;
use crate::output::data_set::DataSet;
use crate::output::digest::RowsDigest;
use crate::output::encode::RowGroup;
use crate::output::rejects::RejectWriter;
use crate::output::schema::RowFormat;
use crate::output::temporary::TemporaryFile;
use crate::output::{OutputError, names};
use crate::reject::Rejects;

/// The options of every shard of a data set.
#[derive(Clone)]
pub(crate) struct ShardOptions {
    /// A shard is closed before a row group that would make a file of it larger than this.
    pub(crate) shard_bytes: u64,
    /// The form of rows.
    pub(crate) format: RowFormat,
    /// How rows are encoded.
    pub(crate) properties: WriterPropertiesPtr,
}

/// A batch's contribution to its unit.
pub(crate) struct BatchOutput {
    /// 0-based number of the batch in the unit.
    pub(crate) batch: u64,
    /// Its rows, if there are any. They stay together: a shard ends with a batch.
    pub(crate) row_groups: PerSplit<Vec<RowGroup>>,
    /// Its rejects, in the order of lines. Epochs after the first reject the same lines and do not keep them.
    pub(crate) rejects: Rejects,
    /// The counts of the batch.
    pub(crate) counts: Counts,
    /// Sources that ended in the batch.
    pub(crate) finished: Vec<FinishedFile>,
    /// The reader's position after the batch.
    pub(crate) position: Option<ReaderPosition>,
}

/// Writes a unit.
pub(crate) struct UnitWriter<'a> {
    data_set: &'a DataSet,
    options: &'a ShardOptions,
    record: CommitRecord,
    files: PerSplit<Option<OpenFile>>,
    rejects: Option<RejectWriter>,
    /// Called before each commit.
    may_commit: &'a (dyn Fn() -> Result<(), OutputError> + Sync),
}

struct OpenFile {
    parquet: SerializedFileWriter<Sink>,
    rows: u64,
    row_groups: u64,
    digest: RowsDigest,
}

/// A file that can be taken back from Parquet's finished writer: the writer's own result reports a full disk only as a
/// text.
struct Sink(Option<TemporaryFile>);

impl Sink {
    fn file(&mut self) -> io::Result<&mut TemporaryFile> {
        self.0.as_mut().ok_or_else(|| io::Error::other("the shard is closed"))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file()?.flush()
    }
}

impl<'a> UnitWriter<'a> {
    /// A writer that resumes after the committed shards. `None` if the unit is finished. `plan` is the fingerprint of
    /// the unit's plan; `may_commit` is called before each commit.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if the records cannot be read.
    pub(crate) fn resume(
        data_set: &'a DataSet,
        options: &'a ShardOptions,
        plan: &str,
        unit: usize,
        may_commit: &'a (dyn Fn() -> Result<(), OutputError> + Sync),
    ) -> Result<Option<(Self, Vec<CommitRecord>)>, OutputError> {
        let records = CommitRecord::read_unit(data_set, unit)?;
        check_records(data_set, plan, unit, &records)?;
        if is_finished(&records) {
            return Ok(None);
        }
        let next_batch = records.last().map_or(0, |record| record.end_batch);
        let record = empty_record(plan.to_owned(), unit, records.len(), next_batch);
        Ok(Some((Self { data_set, options, record, files: PerSplit::default(), rejects: None, may_commit }, records)))
    }

    /// Sets the reader's position before the first batch of the unit, if it is inside a source.
    pub(crate) fn begin_at(&mut self, position: Option<ReaderPosition>) {
        if self.record.shard == 0 {
            self.record.begin.clone_from(&position);
            self.record.position = position;
        }
    }

    /// Adds the next batch of the unit. Commits the current shard first if it is full.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if something cannot be written.
    pub(crate) fn append(&mut self, batch: BatchOutput) -> Result<(), OutputError> {
        let BatchOutput { batch, row_groups, rejects, counts, finished, position } = batch;
        debug_assert_eq!(batch, self.record.end_batch, "batches come in order");
        if !self.has_room(&row_groups) {
            self.commit(false)?;
        }
        for (file, row_groups) in self.files.iter_mut().zip(row_groups.into_iter()) {
            if row_groups.is_empty() {
                continue;
            }
            let file = match file {
                Some(file) => file,
                file => file.insert(OpenFile::new(self.data_set, self.options)?),
            };
            for row_group in row_groups {
                file.append(row_group)?;
            }
        }
        for reject in rejects.iter() {
            let writer = match &mut self.rejects {
                Some(writer) => writer,
                writer => writer.insert(RejectWriter::new(self.data_set)?),
            };
            writer.add(reject)?;
        }
        self.record.end_batch = batch + 1;
        self.record.counts += &counts;
        self.record.finished.extend(finished);
        self.record.position = position;
        Ok(())
    }

    /// Whether the files of the current shard have room for these row groups.
    fn has_room(&self, row_groups: &PerSplit<Vec<RowGroup>>) -> bool {
        self.files.iter().zip(row_groups.iter()).all(|(file, row_groups)| {
            let bytes: u64 = row_groups.iter().map(|row_group| row_group.bytes).sum();
            let fits = |file: &OpenFile| file.parquet.bytes_written() as u64 + bytes <= self.options.shard_bytes;
            row_groups.is_empty() || file.as_ref().is_none_or(fits)
        })
    }

    /// Commits the rest, which finishes the unit.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if something cannot be written.
    pub(crate) fn finish(mut self) -> Result<(), OutputError> {
        self.commit(true)
    }

    fn commit(&mut self, last: bool) -> Result<(), OutputError> {
        let next =
            empty_record(self.record.plan.clone(), self.record.unit, self.record.shard + 1, self.record.end_batch);
        let mut record = std::mem::replace(&mut self.record, next);
        record.last = last;
        let mut unnamed = Vec::new();
        for split in DataSplit::ALL {
            if let Some(file) = self.files.of_mut(split).take() {
                let (file, temporary) = file.close(names::shard_file(split, record.unit, record.shard))?;
                unnamed.push((temporary, file.path.clone()));
                *record.file_mut(split) = Some(file);
            }
        }
        if let Some(rejects) = self.rejects.take() {
            let (files, temporaries) = rejects.close(&names::rejects_stem(record.unit, record.shard))?;
            unnamed.extend(temporaries);
            record.rejects = Some(files);
        }
        (self.may_commit)()?;
        record.commit(self.data_set, unnamed)
    }
}

impl OpenFile {
    fn new(data_set: &DataSet, options: &ShardOptions) -> Result<Self, OutputError> {
        let schema = ArrowSchemaConverter::new().convert(&options.format.schema())?;
        let file = Sink(Some(data_set.temporary("shard.parquet")?));
        let parquet = SerializedFileWriter::new(file, schema.root_schema_ptr(), Arc::clone(&options.properties))?;
        Ok(Self { parquet, rows: 0, row_groups: 0, digest: RowsDigest::default() })
    }

    fn append(&mut self, row_group: RowGroup) -> Result<(), OutputError> {
        self.rows += row_group.rows;
        self.row_groups += 1;
        self.digest.add(&row_group.digest);
        row_group.append_to(&mut self.parquet)
    }

    /// The file as a record describes it, and the file itself, which has no name yet.
    fn close(mut self, path: String) -> Result<(ShardFile, TemporaryFile), OutputError> {
        self.parquet.finish()?;
        let file = self.parquet.inner_mut();
        file.flush()?;
        let file = file.0.take().ok_or_else(|| io::Error::other("the shard is closed"))?;
        let (bytes, sha256) = (file.bytes(), file.sha256());
        let (rows, row_groups, rows_digest) = (self.rows, self.row_groups, self.digest.hex());
        Ok((ShardFile { path, bytes, sha256, rows, row_groups, rows_digest }, file))
    }
}

fn empty_record(plan: String, unit: usize, shard: usize, first_batch: u64) -> CommitRecord {
    CommitRecord {
        plan,
        unit,
        shard,
        first_batch,
        end_batch: first_batch,
        last: false,
        file: None,
        validation: None,
        rejects: None,
        counts: Counts::default(),
        finished: Vec::new(),
        position: None,
        begin: None,
    }
}
