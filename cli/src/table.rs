use std::io::{Result, Write};

use comfy_table::{ContentArrangement, presets::NOTHING};

use crate::cell::plain;

/// How many rows are laid out together: a log may be longer than memory.
const PAGE: usize = 1_000;

/// A table for a person. Long ones come in pages, each with the names of the columns above it.
#[derive(Debug)]
pub struct Table<W> {
    out: W,
    columns: &'static [(&'static str, usize)],
    width: Option<u16>,
    rows: Vec<Vec<String>>,
    is_begun: bool,
}

impl<W: Write> Table<W> {
    /// A table of these columns, each with the characters that it may have; in a terminal of this width.
    pub const fn new(out: W, columns: &'static [(&'static str, usize)], width: Option<u16>) -> Self {
        Self { out, columns, width, rows: Vec::new(), is_begun: false }
    }

    /// Adds a row, which has a cell for each column.
    ///
    /// # Errors
    /// What writing ends with.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = impl AsRef<str> + 'a>) -> Result<()> {
        let cells = cells.into_iter().zip(self.columns);
        self.rows.push(cells.map(|(cell, (_, limit))| plain(cell.as_ref(), *limit).into_owned()).collect());
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
        table.load_preset(NOTHING).set_header(self.columns.iter().map(|(name, _)| *name));
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        table.add_rows(self.rows.drain(..));
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        self.is_begun = true;
        writeln!(self.out, "{}", table.trim_fmt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [(&str, usize); 2] = [("name", 10), ("value", 20)];

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
        let narrow = written(Some(16), &[["name", "some words that wrap"]]);
        assert!(narrow.lines().count() > 2 && narrow.lines().all(|line| line.chars().count() <= 16), "{narrow}");
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
