use std::io::{Result, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, presets::NOTHING};

use crate::plain::plain_within;

/// How many rows are laid out together: a log may be longer than memory.
const PAGE: usize = 1_000;

/// What is left between two columns.
const GAP: u16 = 2;

/// The least that a column has whose cells are broken into lines.
const NARROWEST: u16 = 12;

/// A column of a [`Table`].
#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: &'static str,
    limit: usize,
    breaks: bool,
}

impl Column {
    /// A column whose cells have so many characters at most, and stand in one line.
    #[must_use]
    pub const fn new(name: &'static str, limit: usize) -> Self {
        Self { name, limit, breaks: false }
    }

    /// The same with cells that may be broken into lines, where the terminal is too narrow.
    #[must_use]
    pub const fn broken(self) -> Self {
        Self { breaks: true, ..self }
    }
}

/// A table for a person. Long ones come in pages, each with the names of the columns above it.
#[derive(Debug)]
pub struct Table<W> {
    out: W,
    columns: &'static [Column],
    width: Option<u16>,
    rows: Vec<Vec<String>>,
    is_begun: bool,
}

impl<W: Write> Table<W> {
    /// A table of these columns; in a terminal of this width.
    pub const fn new(out: W, columns: &'static [Column], width: Option<u16>) -> Self {
        Self { out, columns, width, rows: Vec::new(), is_begun: false }
    }

    /// Adds a row, which has a cell for each column.
    ///
    /// # Errors
    /// What writing ends with.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = impl AsRef<str> + 'a>) -> Result<()> {
        let cells = cells.into_iter().zip(self.columns);
        self.rows.push(cells.map(|(cell, column)| plain_within(cell.as_ref(), column.limit).into_owned()).collect());
        if self.rows.len() < PAGE { Ok(()) } else { self.write_page() }
    }

    /// Writes what is not written yet.
    ///
    /// # Errors
    /// What writing ends with.
    pub fn finish(mut self) -> Result<()> {
        if !self.rows.is_empty() || !self.is_begun {
            self.write_page()?;
        }
        self.out.flush()
    }

    fn write_page(&mut self) -> Result<()> {
        let mut table = comfy_table::Table::new();
        table.load_preset(NOTHING).set_header(self.columns.iter().map(|column| column.name));
        table.add_rows(self.rows.drain(..));
        let widths = table.column_max_content_widths();
        let least: u16 = self
            .columns
            .iter()
            .zip(widths)
            .map(|(column, width)| GAP + if column.breaks { width.min(NARROWEST) } else { width })
            .fold(0, u16::saturating_add);
        // In a terminal that is narrower yet, its own lines are broken.
        if let Some(width) = self.width.filter(|width| *width >= least) {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        for (column, own) in table.column_iter_mut().zip(self.columns) {
            column.set_padding((0, GAP));
            if !own.breaks {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        self.is_begun = true;
        writeln!(self.out, "{}", table.trim_fmt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 2] = [Column::new("name", 10), Column::new("value", 30).broken()];

    fn written(width: Option<u16>, rows: &[[&str; 2]]) -> String {
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, &COLUMNS, width);
        rows.iter().for_each(|row| table.row(row).unwrap());
        table.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_stand_below_their_names() {
        assert_eq!(written(None, &[]), "name  value\n");
        assert_eq!(
            written(None, &[["a", "1"], ["longer", ""], ["", "3"]]),
            "name    value\na       1\nlonger\n        3\n"
        );
    }

    #[test]
    fn a_cell_is_cut_and_a_row_fits_the_terminal() {
        let lines = written(None, &[["a name that is too long", "\x1b[31mred\nline"]]);
        assert_eq!(lines, "name        value\na name th…  ?[31mred?line\n");
        let row = [["2026-01-02", "some words that are broken"]];
        let narrow = written(Some(30), &row);
        assert!(narrow.lines().count() > 2 && narrow.lines().all(|line| line.chars().count() <= 30), "{narrow}");
        assert!(narrow.contains("2026-01-02"), "{narrow}");
        assert_eq!(written(Some(20), &row), written(None, &row), "too narrow for any table");
    }

    #[test]
    fn a_long_table_is_written_page_by_page() {
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, &COLUMNS, None);
        for _ in 0..2 * PAGE + 1 {
            table.row(["a", "b"]).unwrap();
            assert!(table.rows.len() < PAGE);
        }
        table.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        let headers = text.lines().filter(|line| line.starts_with("name")).count();
        assert_eq!((headers, text.lines().count()), (3, 2 * PAGE + 4));
    }
}
