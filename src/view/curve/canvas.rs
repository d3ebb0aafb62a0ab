//! Grids of dots: eight to a braille character for one curve, one to a character with a mark for each of several.

/// A grid that curves are drawn on. The origin is the upper left corner.
pub(super) trait Canvas {
    /// Columns and rows of dots.
    fn dots(&self) -> (usize, usize);
    fn set(&mut self, curve: usize, column: usize, row: usize);
    /// The lines of characters, from the top.
    fn lines(&self) -> Vec<String>;
}

/// Draws a line between two dots.
pub(super) fn line(canvas: &mut dyn Canvas, curve: usize, from: (usize, usize), to: (usize, usize)) {
    let (dx, dy) = (to.0.abs_diff(from.0), to.1.abs_diff(from.1));
    let steps = dx.max(dy).max(1);
    let between = |start: usize, end: usize, step: usize| {
        let (start, end) = (start as f64, end as f64);
        (start + (end - start) * step as f64 / steps as f64).round() as usize
    };
    for step in 0..=steps {
        canvas.set(curve, between(from.0, to.0, step), between(from.1, to.1, step));
    }
}

/// Two columns and four rows of dots in each character; curves are not told apart.
pub(super) struct Braille {
    columns: usize,
    cells: Vec<u8>,
}

impl Braille {
    pub(super) fn new(columns: usize, rows: usize) -> Braille {
        Braille { columns, cells: vec![0; columns * rows] }
    }
}

impl Canvas for Braille {
    fn dots(&self) -> (usize, usize) {
        (2 * self.columns, 4 * (self.cells.len() / self.columns))
    }

    fn set(&mut self, _curve: usize, column: usize, row: usize) {
        /// Bits of the dots in a character, by row and column.
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        if let Some(cell) = self.cells.get_mut(row / 4 * self.columns + column / 2) {
            *cell |= BITS[row % 4][column % 2];
        }
    }

    fn lines(&self) -> Vec<String> {
        let shown = |cell: &u8| match cell {
            0 => ' ',
            cell => char::from_u32(0x2800 + u32::from(*cell)).unwrap_or(' '),
        };
        self.cells.chunks(self.columns).map(|row| row.iter().map(shown).collect()).collect()
    }
}

/// One character per dot: the mark of the curve.
pub(super) struct Marked<'m> {
    columns: usize,
    marks: &'m [char],
    /// The curves in each cell, as bits.
    cells: Vec<u32>,
}

impl Marked<'_> {
    pub(super) fn new(columns: usize, rows: usize, marks: &[char]) -> Marked<'_> {
        Marked { columns, marks, cells: vec![0; columns * rows] }
    }
}

impl Canvas for Marked<'_> {
    fn dots(&self) -> (usize, usize) {
        (self.columns, self.cells.len() / self.columns)
    }

    fn set(&mut self, curve: usize, column: usize, row: usize) {
        if let Some(cell) = self.cells.get_mut(row * self.columns + column) {
            *cell |= 1 << curve;
        }
    }

    fn lines(&self) -> Vec<String> {
        let shown = |(column, cell): (usize, &u32)| {
            let curves: Vec<usize> = (0..self.marks.len()).filter(|curve| cell & (1 << curve) != 0).collect();
            // Curves that cover each other take turns.
            curves.get(column % curves.len().max(1)).map_or(' ', |curve| self.marks[*curve])
        };
        self.cells.chunks(self.columns).map(|row| row.iter().enumerate().map(shown).collect()).collect()
    }
}
