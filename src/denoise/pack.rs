//! Several examples in one row: first fit (`docs/reference/masking.md`, section 9).

/// Places examples in rows of bounded lengths: each in the first row that has room for it, or else in a new one.
///
/// Exact first fit. A tree over the rows holds the most room of any row below each node, for each of the two sequences,
/// so that it does not search full rows again.
#[derive(Debug)]
pub struct FirstFit {
    capacity: Room,
    rows: usize,
    /// A binary heap's layout: node `k` has the children `2k` and `2k + 1`; the rows are the leaves, from `leaves` on.
    tree: Vec<Room>,
    leaves: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    inputs: u32,
    labels: u32,
}

impl Room {
    const NONE: Self = Self { inputs: 0, labels: 0 };

    fn holds(self, example: Self) -> bool {
        self.inputs >= example.inputs && self.labels >= example.labels
    }

    fn or(self, other: Self) -> Self {
        Self { inputs: self.inputs.max(other.inputs), labels: self.labels.max(other.labels) }
    }
}

impl FirstFit {
    /// No rows yet; each will hold at most this many ids in its two sequences.
    #[must_use]
    pub fn new(inputs: u32, labels: u32) -> Self {
        Self { capacity: Room { inputs, labels }, rows: 0, tree: vec![Room::NONE; 2], leaves: 1 }
    }

    /// The row, counted from 0, of the next example, which has at least one id in its inputs or its labels. An example
    /// that is larger than a row gets a row for itself.
    pub fn place(&mut self, inputs: u32, labels: u32) -> usize {
        let example = Room { inputs, labels };
        let row = self.first_below(1, example).unwrap_or_else(|| self.add_row());
        let room = &mut self.tree[self.leaves + row];
        room.inputs = room.inputs.saturating_sub(inputs);
        room.labels = room.labels.saturating_sub(labels);
        self.update(row);
        row
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The first row below `node` that holds the example. A node's two maxima may come from two rows, so neither child
    /// may hold it.
    fn first_below(&self, node: usize, example: Room) -> Option<usize> {
        if !self.tree[node].holds(example) {
            return None;
        }
        if node >= self.leaves {
            // A leaf without a row has no room, but an empty example would fit even there.
            return Some(node - self.leaves).filter(|row| *row < self.rows);
        }
        self.first_below(2 * node, example).or_else(|| self.first_below(2 * node + 1, example))
    }

    fn add_row(&mut self) -> usize {
        if self.rows == self.leaves {
            let rows: Vec<Room> = self.tree[self.leaves..].to_vec();
            self.leaves *= 2;
            self.tree = vec![Room::NONE; 2 * self.leaves];
            self.tree[self.leaves..self.leaves + rows.len()].copy_from_slice(&rows);
            for node in (1..self.leaves).rev() {
                self.tree[node] = self.tree[2 * node].or(self.tree[2 * node + 1]);
            }
        }
        self.tree[self.leaves + self.rows] = self.capacity;
        self.rows += 1;
        self.rows - 1
    }

    fn update(&mut self, row: usize) {
        let mut node = self.leaves + row;
        while node > 1 {
            node /= 2;
            self.tree[node] = self.tree[2 * node].or(self.tree[2 * node + 1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_goes_into_the_first_row_with_room_in_both_sequences() {
        let mut rows = FirstFit::new(10, 10);
        let places: Vec<usize> = [(6, 1), (5, 1), (4, 9), (5, 5), (1, 1), (4, 1), (10, 10), (11, 2)]
            .map(|(inputs, labels)| rows.place(inputs, labels))
            .into();
        // The fourth finds 4 + 0 left in row 0 and 5 + 9 in row 1; the fifth has no room for labels in row 0.
        assert_eq!(places, [0, 1, 0, 1, 2, 2, 3, 4]);
        assert_eq!(rows.rows(), 5);
    }
}
