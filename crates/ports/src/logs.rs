use crate::Fault;

/// Which lines of a log group.
#[derive(Clone, Copy, Debug)]
pub struct LogQuery<'a> {
    /// The group's name.
    pub group: &'a str,
    /// A word of letters and digits that the lines have. Others may come as well.
    pub word: &'a str,
    /// From this time on, Unix time in milliseconds.
    pub from: Option<u64>,
    /// Up to this time, Unix time in milliseconds.
    pub until: Option<u64>,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When the log took it, Unix time in milliseconds.
    pub time: u64,
    /// Its text. Callers of a function may have written parts of it.
    pub text: String,
}

/// Some lines of a log, in the order of their times.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// They may be none, and more come all the same.
    pub lines: Vec<LogLine>,
    /// Names the next page, where there is one.
    pub next: Option<String>,
}

/// Reads logs (Amazon CloudWatch Logs `FilterLogEvents`).
pub trait ReadLogs: Send + Sync + 'static {
    /// One page: the first, or the one that the page before it names. No such group: [`Fault::Missing`].
    fn page(&self, query: LogQuery<'_>, next: Option<&str>) -> impl Future<Output = Result<LogPage, Fault>> + Send;
}
