use std::{
    fs::File,
    io::{self, BufReader, BufWriter, ErrorKind, IsTerminal as _, Read, Write, stdin, stdout},
    path::{Path, PathBuf},
};

use countersign::{
    Column, Error, Table,
    audit::{COLUMNS, FUNCTIONS, Filter, Line, Lines, LogGroups, Record, SOURCE_COLUMNS, Sheet, Sources},
};
use time::{Duration, OffsetDateTime};

use crate::{
    audit_args::{Audit, AuditFormat},
    commands::{tell, usage},
    progress::waiting_for,
};

/// The columns of a table of events, and how much of each is shown.
const EVENT_TABLE: [Column; 7] = [
    Column::new("time", 20),
    Column::new("action", 24),
    Column::new("outcome", 8),
    Column::new("reason", 28),
    Column::new("source", 39),
    Column::new("subject", 64).broken(),
    Column::new("about", 96).broken(),
];

/// The same of sources.
const SOURCE_TABLE: [Column; 7] = [
    Column::new("source", 43),
    Column::new("requests", 20),
    Column::new("first", 20),
    Column::new("last", 20),
    Column::new("actions", 96).broken(),
    Column::new("reasons", 160).broken(),
    Column::new("subjects", 20),
];

/// How far back the log is read where nobody says.
const LAST_DAY: Duration = Duration::DAY;

pub(crate) async fn run(audit: Audit) -> Result<(), Error> {
    if audit.separator.is_some() && audit.format != AuditFormat::Csv {
        usage("--format csv is required with --separator");
    }
    let mut filter = Filter {
        actions: audit.action,
        outcomes: audit.outcome,
        reasons: audit.reason,
        subject: audit.subject,
        source: audit.source,
        since: audit.since,
        until: audit.until,
    };
    if audit.top.is_some() && filter.outcomes.is_empty() {
        filter.outcomes = vec!["refused".into()];
    }
    let out = BufWriter::new(stdout());
    let printed = match (audit.top, audit.format) {
        (Some(number), _) => Printed::Sources(Sources::default(), number.into(), out),
        (None, AuditFormat::Table) => Printed::Table(Table::new(out, &EVENT_TABLE, terminal_width())),
        (None, AuditFormat::Csv) => match Sheet::new(out, audit.separator.unwrap_or(b','), &COLUMNS) {
            Ok(sheet) => Printed::Sheet(Box::new(sheet)),
            Err(error) => return written(error),
        },
        (None, AuditFormat::Json) => Printed::Json(out),
    };
    let mut report = Report { filter, printed, broken: 0 };
    let read = match audit.file {
        Some(path) => read_file(&path, &mut report),
        None => {
            let functions =
                if audit.function.is_empty() { FUNCTIONS.map(str::to_owned).to_vec() } else { audit.function };
            read_logs(audit.stack, &functions, &mut report).await
        }
    };
    match read.and_then(|()| report.finish(audit.format, audit.separator.unwrap_or(b','))) {
        Ok(()) => Ok(()),
        Err(Ended::Written(error)) => written(error),
        Err(Ended::Read(error)) => Err(error),
    }
}

/// What ends the command early.
enum Ended {
    Read(Error),
    Written(io::Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Read(error)
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Written(error)
    }
}

/// A reader that has enough, as `head`, is no error.
fn written(error: io::Error) -> Result<(), Error> {
    if error.kind() == ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(Error::File { action: "write", path: PathBuf::from("standard output"), source: error })
}

fn read_file(path: &Path, report: &mut Report) -> Result<(), Ended> {
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    let from: Box<dyn Read> =
        if path == Path::new("-") { Box::new(stdin().lock()) } else { Box::new(File::open(path).map_err(failed)?) };
    let mut lines = Lines::new(BufReader::with_capacity(1 << 16, from));
    while let Some(line) = lines.next_line().map_err(failed)? {
        report.take(line)?;
    }
    Ok(())
}

async fn read_logs(stack: String, functions: &[String], report: &mut Report) -> Result<(), Ended> {
    let since = report.filter.since.get_or_insert_with(|| OffsetDateTime::now_utc() - LAST_DAY);
    let (since, until) = (Some(*since), report.filter.until);
    let mut logs = waiting_for("AWS", LogGroups::connect(stack, functions)).await?.between(since, until);
    while let Some(lines) = waiting_for("Amazon CloudWatch Logs", logs.next_lines()).await.map_err(Error::from)? {
        for line in lines {
            report.take(Some(&line))?;
        }
    }
    for group in logs.absent() {
        tell(&format!("there is no log {group}"));
    }
    Ok(())
}

/// What is read, on its way to what is printed.
struct Report {
    filter: Filter,
    printed: Printed,
    broken: u64,
}

enum Printed {
    Table(Table<Out>),
    Sheet(Box<Sheet<Out>>),
    Json(Out),
    Sources(Sources, usize, Out),
}

type Out = BufWriter<io::Stdout>;

impl Report {
    /// A line of the log; none where it is no text.
    fn take(&mut self, line: Option<&str>) -> io::Result<()> {
        match line.map(Line::read) {
            Some(Line::Event(record)) if self.filter.takes(&record) => self.printed.add(&record),
            Some(Line::Event(_) | Line::Other) => Ok(()),
            Some(Line::Broken) | None => {
                self.broken += 1;
                Ok(())
            }
        }
    }

    fn finish(self, format: AuditFormat, separator: u8) -> Result<(), Ended> {
        match self.printed {
            Printed::Table(table) => table.finish()?,
            Printed::Sheet(sheet) => sheet.finish()?,
            Printed::Json(mut out) => out.flush()?,
            Printed::Sources(sources, number, out) => print_sources(&sources, number, out, format, separator)?,
        }
        if self.broken > 0 {
            tell(&format!("lines that are damaged: {}", self.broken));
        }
        Ok(())
    }
}

impl Printed {
    fn add(&mut self, record: &Record<'_>) -> io::Result<()> {
        match self {
            Self::Table(table) => {
                let [action, outcome, reason, source] =
                    ["action", "outcome", "reason", "source_ip"].map(|member| record.text(member));
                table.row([
                    record.seconds().into(),
                    action,
                    outcome,
                    reason,
                    source,
                    record.who(),
                    record.what().into(),
                ])
            }
            Self::Sheet(sheet) => sheet.row(COLUMNS.map(|member| record.text(member))),
            Self::Json(out) => writeln!(out, "{}", record.json()),
            Self::Sources(sources, ..) => {
                sources.count(record);
                Ok(())
            }
        }
    }
}

fn print_sources(sources: &Sources, number: usize, mut out: Out, format: AuditFormat, separator: u8) -> io::Result<()> {
    let top = sources.top(number);
    match format {
        AuditFormat::Table => {
            let mut table = Table::new(out, &SOURCE_TABLE, terminal_width());
            top.iter().try_for_each(|source| table.row(source.cells()))?;
            table.finish()?;
        }
        AuditFormat::Csv => {
            let mut sheet = Sheet::new(out, separator, &SOURCE_COLUMNS)?;
            top.iter().try_for_each(|source| sheet.row(source.cells()))?;
            sheet.finish()?;
        }
        AuditFormat::Json => {
            for source in &top {
                writeln!(out, "{}", serde_json::to_string(source)?)?;
            }
            out.flush()?;
        }
    }
    if sources.forgotten() > 0 {
        tell(&format!("requests of sources that are not counted, since too many had as few: {}", sources.forgotten()));
    }
    Ok(())
}

/// How wide the terminal is, where standard output is one.
fn terminal_width() -> Option<u16> {
    let out = stdout();
    let size = out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out).ok()).flatten();
    size.map(|size| size.ws_col).filter(|columns| *columns >= 40)
}
