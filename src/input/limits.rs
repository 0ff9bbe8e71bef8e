//! What a source may ask for.

/// Limits on what a source may ask for. They decide no row, only whether a source is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Largest window of a Zstandard frame, in bytes: the decompressor holds one. It is rounded up to a power of two.
    pub(crate) window: u64,
    /// Most decompressed bytes for each byte of the file, beyond the first [`FREE_EXPANSION`](super::reader::FREE_EXPANSION).
    pub(crate) expansion: u64,
}

impl Limits {
    /// The smallest limit on the window: the format's smallest window.
    pub(crate) const LEAST_WINDOW: u64 = 1 << 10;
    /// The largest limit on the window: the window of `zstd --long=31`.
    pub(crate) const MOST_WINDOW: u64 = 1 << 31;

    pub(super) fn window_log(self) -> u32 {
        self.window.clamp(Self::LEAST_WINDOW, Self::MOST_WINDOW).next_power_of_two().ilog2()
    }
}

impl Default for Limits {
    /// The window of `zstd -22 --ultra` and `--long`, and an expansion that text never comes near.
    fn default() -> Self {
        Self { window: 128 << 20, expansion: 1000 }
    }
}
