use std::io::{BufRead, ErrorKind, Read as _, Result};

/// How long a line may be: what CloudWatch Logs takes as one event.
const MAX_LINE: usize = 1 << 20;

/// The lines of a file or a pipe, of which one is in memory at a time.
#[derive(Debug)]
pub struct Lines<R> {
    from: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The lines of this.
    pub const fn new(from: R) -> Self {
        Self { from, line: Vec::new() }
    }

    /// The next line without its end; `None` where there is no more. What is no UTF-8, or longer than 1 MiB, is no text: `Some(None)`.
    ///
    /// # Errors
    /// What reading ends with.
    pub fn next_line(&mut self) -> Result<Option<Option<&str>>> {
        self.line.clear();
        let limit = u64::try_from(MAX_LINE + 1).unwrap_or(u64::MAX);
        if self.from.by_ref().take(limit).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        if self.line.pop_if(|last| *last == b'\n').is_none() && self.line.len() > MAX_LINE {
            self.skip_line()?;
            return Ok(Some(None));
        }
        let line = str::from_utf8(&self.line).ok();
        Ok(Some(line.map(|line| line.strip_prefix('\u{feff}').unwrap_or(line))))
    }

    /// Reads on to the end of the line and keeps nothing.
    fn skip_line(&mut self) -> Result<()> {
        loop {
            let (end, read) = match self.from.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(bytes) => match bytes.iter().position(|byte| *byte == b'\n') {
                    Some(end) => (true, end + 1),
                    None => (false, bytes.len()),
                },
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.from.consume(read);
            if end {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor, repeat};

    use super::*;

    fn all(bytes: &[u8]) -> Vec<Option<String>> {
        let mut lines = Lines::new(BufReader::with_capacity(7, bytes));
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            all.push(line.map(str::to_owned));
        }
        all
    }

    #[test]
    fn lines_come_one_by_one_whatever_they_end_in() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(all(b""), []);
        assert_eq!(
            all("\u{feff}a\n\nlong enough line\nb".as_bytes()),
            [some("a"), some(""), some("long enough line"), some("b")]
        );
        assert_eq!(all(b"a\n\xff\nb\n"), [some("a"), None, some("b")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_not_kept() {
        let fits = "x".repeat(MAX_LINE);
        for end in ["\nnext\n", "y\nnext\n", "yyyyyyyyyyyyyyyyyyy\nnext"] {
            let read = all(format!("{fits}{end}").as_bytes());
            let expected = if end.starts_with('\n') { Some(fits.clone()) } else { None };
            assert_eq!(read, [expected, Some("next".into())]);
        }
        let giant = repeat(b'x').take(64 << 20).chain(Cursor::new("\nnext"));
        let mut lines = Lines::new(BufReader::new(giant));
        assert_eq!(lines.next_line().unwrap(), Some(None));
        assert!(lines.line.capacity() <= 4 * MAX_LINE);
        assert_eq!(lines.next_line().unwrap(), Some(Some("next")));
    }
}
