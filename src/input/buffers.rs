//! Memory that batches reuse: the kernel has to clear fresh memory, page by page.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Free buffers: at most as many as there were batches in memory at once.
#[derive(Debug, Default)]
pub struct Buffers(Mutex<Vec<Vec<u8>>>);

/// A buffer on loan, returned when dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// The size that was asked for.
    room: usize,
    home: Arc<Buffers>,
}

impl Buffers {
    /// An empty buffer with room for `room` bytes, which may grow.
    pub(crate) fn lend(self: &Arc<Self>, room: usize) -> Buffer {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        bytes.reserve(room);
        Buffer { bytes, room, home: Arc::clone(self) }
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        // A very long line makes a buffer large, and it would stay large.
        if bytes.capacity() <= 2 * self.room {
            bytes.clear();
            self.home.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_unless_it_grew_too_large() {
        let buffers = Arc::<Buffers>::default();
        let mut first = buffers.lend(100);
        first.extend([7; 150]);
        let (place, capacity) = (first.as_ptr(), first.capacity());
        drop(first);
        let mut again = buffers.lend(100);
        assert_eq!((again.as_ptr(), again.capacity(), again.len()), (place, capacity, 0));
        again.extend([7; 1000]);
        drop(again);
        assert!(buffers.0.lock().unwrap().is_empty());
    }
}
