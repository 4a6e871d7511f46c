use std::io::{Result, Write};

use crate::{
    cell::{MAX_CELL, defused},
    plain::plain_within,
};

/// CSV (RFC 4180) for spreadsheets and pandas: a row with the names of the columns, then a line for each row.
///
/// No cell is a formula, whatever a spreadsheet takes for the separator; none has a line break or a control character.
#[derive(Debug)]
pub struct Sheet<W: Write>(csv::Writer<W>);

impl<W: Write> Sheet<W> {
    /// A sheet whose first line has these columns.
    ///
    /// # Errors
    /// What writing ends with.
    pub fn new(out: W, separator: u8, columns: &[&str]) -> Result<Self> {
        let mut sheet = Self(csv::WriterBuilder::new().delimiter(separator).from_writer(out));
        sheet.0.write_record(columns)?;
        Ok(sheet)
    }

    /// Writes a row.
    ///
    /// # Errors
    /// What writing ends with.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = impl AsRef<str> + 'a>) -> Result<()> {
        for cell in cells {
            let safe = defused(&plain_within(cell.as_ref(), MAX_CELL)).into_owned();
            self.0.write_field(safe)?;
        }
        self.0.write_record(None::<&[u8]>)?;
        Ok(())
    }

    /// Writes what is not written yet.
    ///
    /// # Errors
    /// What writing ends with.
    pub fn finish(mut self) -> Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(separator: u8, rows: &[[&str; 2]]) -> String {
        let mut out = Vec::new();
        let mut sheet = Sheet::new(&mut out, separator, &["a", "b"]).unwrap();
        rows.iter().for_each(|row| sheet.row(row).unwrap());
        sheet.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_are_quoted_where_they_must_be_and_never_formulas() {
        assert_eq!(written(b',', &[["x,y", "say \"hi\""], ["", "=1"]]), "a,b\n\"x,y\",\"say \"\"hi\"\"\"\n,'=1\n");
        assert_eq!(written(b';', &[["x;=y", "x,y"], ["two\nlines", ""]]), "a;b\n\"x;'=y\";x,y\ntwo?lines;\n");
        assert_eq!(written(b'\t', &[["x\ty", "z"]]), "a\tb\nx?y\tz\n");
    }
}
