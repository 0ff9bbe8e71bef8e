//! A tool that was built without object stores: URLs are told from paths, and refused.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use fs_err as fs;

use super::{Created, Object, StoreError};

/// An object of a store, which there is none of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {}

/// An object that is being read, which there is none of.
#[derive(Debug)]
pub enum Pieces {}

impl Remote {
    pub(super) fn parse(url: &str) -> io::Result<Self> {
        Err(StoreError::url(url, "this `ul2-prep` was built without the feature `object-store`").into())
    }

    #[must_use]
    pub(crate) fn join(&self, _relative: &str) -> Self {
        match *self {}
    }

    pub(crate) fn file_name(&self) -> &str {
        match *self {}
    }

    pub(crate) fn is_of_the_web(&self) -> bool {
        match *self {}
    }

    pub(crate) fn before(&self, _is_glob: impl Fn(&str) -> bool) -> Self {
        match *self {}
    }

    pub(crate) fn parent(&self) -> Self {
        match *self {}
    }

    pub(crate) fn key(&self) -> &str {
        match *self {}
    }

    pub(crate) fn head(&self) -> io::Result<Option<Object>> {
        match *self {}
    }

    pub(crate) fn list(&self) -> io::Result<Vec<Object>> {
        match *self {}
    }

    pub(crate) fn has_any(&self) -> io::Result<bool> {
        match *self {}
    }

    pub(crate) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        match *self {}
    }

    pub(crate) fn open(&self, _object: &Object) -> Pieces {
        match *self {}
    }

    pub(crate) fn put(&self, _bytes: &[u8]) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn create(&self, _bytes: &[u8]) -> io::Result<Created> {
        match *self {}
    }

    pub(crate) fn put_file(&self, _file: &fs::File, _bytes: u64) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        match *self {}
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, _formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Read for Pieces {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }
}

impl Seek for Pieces {
    fn seek(&mut self, _to: SeekFrom) -> io::Result<u64> {
        match *self {}
    }
}
