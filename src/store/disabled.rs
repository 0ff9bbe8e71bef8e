//! Stands in for object stores in a build without them: it recognizes URLs, and refuses them.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use fs_err as fs;

use crate::store::{Created, Object, StoreError};

/// An object of a store, which cannot exist here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote(Infallible);

/// An object being read, which cannot exist here.
#[derive(Debug)]
pub(crate) struct Pieces(Infallible);

impl Remote {
    pub(super) fn parse(url: &str, _scheme: &str, _rest: &str) -> io::Result<Self> {
        Err(StoreError::url(url, "this `ul2-prep` was built without the feature `object-store`").into())
    }

    #[must_use]
    pub(crate) fn join(&self, _relative: &str) -> Self {
        match self.0 {}
    }

    pub(crate) fn file_name(&self) -> &str {
        match self.0 {}
    }

    pub(crate) fn is_of_the_web(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn before(&self, _is_glob: impl Fn(&str) -> bool) -> Self {
        match self.0 {}
    }

    pub(crate) fn parent(&self) -> Self {
        match self.0 {}
    }

    pub(crate) fn key(&self) -> &str {
        match self.0 {}
    }

    pub(crate) fn head(&self) -> io::Result<Option<Object>> {
        match self.0 {}
    }

    pub(crate) fn list(&self) -> io::Result<Vec<Object>> {
        match self.0 {}
    }

    pub(crate) fn has_any(&self) -> io::Result<bool> {
        match self.0 {}
    }

    pub(crate) fn read(&self, _most: u64) -> io::Result<Option<Vec<u8>>> {
        match self.0 {}
    }

    pub(crate) fn open(&self, _object: &Object) -> Pieces {
        match self.0 {}
    }

    pub(crate) fn create(&self, _bytes: &[u8], _most: u64) -> io::Result<Created> {
        match self.0 {}
    }

    pub(crate) fn put_file(&self, _file: &fs::File, _bytes: u64, _new: bool) -> io::Result<bool> {
        match self.0 {}
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        match self.0 {}
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, _formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl Read for Pieces {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }
}

impl Seek for Pieces {
    fn seek(&mut self, _to: SeekFrom) -> io::Result<u64> {
        match self.0 {}
    }
}
