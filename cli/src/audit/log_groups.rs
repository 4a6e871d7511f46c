use std::{collections::VecDeque, time::Duration};

use aws::{CloudWatchLogs, Connection};
use ports::{Fault, LogLine, LogQuery, ReadLogs};
use time::OffsetDateTime;

use super::AuditError;
use crate::{AwsError, Error};

/// The functions that have an audit log.
pub const FUNCTIONS: [&str; 7] = ["authorize", "enroll", "exchange", "issue", "provision", "rotate", "token"];

/// How much later than the function a log may have the time of a line, in milliseconds.
const DELAY: u64 = 300_000;

/// How often a page is asked for where the service wants fewer requests.
const TRIES: u32 = 6;

/// The logs of a stack's functions as one, in the order of time. Of each a page is in memory.
#[derive(Debug)]
pub struct LogGroups<P> {
    logs: P,
    stack: String,
    groups: Vec<LogGroup>,
    from: Option<u64>,
    until: Option<u64>,
}

#[derive(Debug)]
struct LogGroup {
    name: String,
    lines: VecDeque<LogLine>,
    ahead: Ahead,
}

/// What comes after the lines that are here.
#[derive(Debug)]
enum Ahead {
    First,
    Page(String),
    Nothing,
    /// There is no such log.
    NoLog,
}

impl LogGroups<CloudWatchLogs> {
    /// The logs of these functions in Amazon CloudWatch Logs, with AWS credentials from where the AWS SDKs look for them.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn connect(stack: String, functions: &[String]) -> Result<Self, Error> {
        let connection = Connection::from_environment().await;
        if let Some(lack) = connection.lacks().await {
            return Err(lack.into());
        }
        Ok(Self::new(CloudWatchLogs::new(&connection), stack, functions))
    }
}

impl<P: ReadLogs> LogGroups<P> {
    fn new(logs: P, stack: String, functions: &[String]) -> Self {
        let group = |function| LogGroup {
            name: format!("/aws/lambda/{stack}-{function}"),
            lines: VecDeque::new(),
            ahead: Ahead::First,
        };
        let groups = functions.iter().map(group).collect();
        Self { logs, stack, groups, from: None, until: None }
    }

    /// The lines of this time, and a few beside it.
    #[must_use]
    pub fn between(self, since: Option<OffsetDateTime>, until: Option<OffsetDateTime>) -> Self {
        let millis = |time: OffsetDateTime| u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        Self { from: since.map(millis), until: until.map(|until| millis(until).saturating_add(DELAY)), ..self }
    }

    /// The next lines, among which are all that may be events; `None` where there are no more.
    ///
    /// # Errors
    /// [`AuditError`]. That one of several logs is not there is no error: [`LogGroups::absent`].
    pub async fn next_lines(&mut self) -> Result<Option<Vec<String>>, AuditError> {
        for group in &mut self.groups {
            while group.lines.is_empty() && group.has_more() {
                group.read_page(&self.logs, self.from, self.until).await?;
            }
        }
        if self.groups.iter().all(|group| matches!(group.ahead, Ahead::NoLog)) {
            return Err(AuditError::NoLog(self.stack.clone()));
        }
        let mut lines = Vec::new();
        // What comes next of a group that has run out may be earlier than what is here of others.
        while self.groups.iter().all(|group| !group.lines.is_empty() || !group.has_more()) {
            let time = |group: &&mut LogGroup| group.lines.front().map_or(u64::MAX, |line| line.time);
            let Some(line) = self.groups.iter_mut().min_by_key(time).and_then(|group| group.lines.pop_front()) else {
                break;
            };
            lines.push(line.text);
        }
        Ok(if lines.is_empty() { None } else { Some(lines) })
    }

    /// The logs that are not there, as far as is known.
    pub fn absent(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().filter(|group| matches!(group.ahead, Ahead::NoLog)).map(|group| group.name.as_str())
    }
}

impl LogGroup {
    const fn has_more(&self) -> bool {
        matches!(self.ahead, Ahead::First | Ahead::Page(_))
    }

    async fn read_page(
        &mut self,
        logs: &impl ReadLogs,
        from: Option<u64>,
        until: Option<u64>,
    ) -> Result<(), AuditError> {
        let query = LogQuery { group: &self.name, word: "audit", from, until };
        let next = match &self.ahead {
            Ahead::Page(next) => Some(next.as_str()),
            Ahead::First | Ahead::Nothing | Ahead::NoLog => None,
        };
        let page = match unhurried(async || logs.page(query, next).await).await {
            Ok(page) => page,
            Err(Fault::Missing) if next.is_none() => {
                self.ahead = Ahead::NoLog;
                return Ok(());
            }
            Err(fault) => return Err(AwsError::of("logs:FilterLogEvents", fault).into()),
        };
        self.lines.extend(page.lines);
        self.ahead = page.next.map_or(Ahead::Nothing, Ahead::Page);
        Ok(())
    }
}

/// Tries again, each time later, where the service wants fewer requests: an account has a few of them a second.
async fn unhurried<T>(ask: impl AsyncFn() -> Result<T, Fault>) -> Result<T, Fault> {
    let mut pause = Duration::from_secs(1);
    for _ in 1..TRIES {
        match ask().await {
            Err(Fault::Throttled(_)) => tokio::time::sleep(pause).await,
            ended => return ended,
        }
        pause *= 2;
    }
    ask().await
}

#[cfg(test)]
mod tests {
    use ports::memory::{Failing, MemoryLogs};
    use time::macros::datetime;

    use super::*;

    fn groups(logs: &MemoryLogs, functions: &[&str]) -> LogGroups<MemoryLogs> {
        let functions: Vec<String> = functions.iter().map(ToString::to_string).collect();
        LogGroups::new(logs.clone(), "prod".into(), &functions)
    }

    async fn all(mut groups: LogGroups<MemoryLogs>) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(lines) = groups.next_lines().await.unwrap() {
            all.extend(lines);
        }
        all
    }

    #[tokio::test]
    async fn the_logs_of_all_functions_come_in_the_order_of_time() {
        let logs = MemoryLogs::default();
        for (function, times) in
            [("token", vec![1, 4, 9, 9, 30]), ("exchange", vec![2, 3, 5, 6, 7, 8]), ("rotate", vec![])]
        {
            let group = format!("/aws/lambda/prod-{function}");
            logs.put(&group, 0, "START");
            times.iter().for_each(|time| logs.put(&group, *time, &format!("audit {time}")));
        }
        let order = [1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 30].map(|time| format!("audit {time}"));
        assert_eq!(all(groups(&logs, &["token", "exchange", "rotate"])).await, order);
    }

    #[tokio::test]
    async fn lines_are_asked_for_of_the_time_and_a_little_after() {
        let logs = MemoryLogs::default();
        for time in [999, 1_000, 2_000, 2_000 + DELAY, 2_001 + DELAY] {
            logs.put("/aws/lambda/prod-token", time, &format!("audit {time}"));
        }
        let (since, until) = (datetime!(1970-01-01 0:00:01 UTC), datetime!(1970-01-01 0:00:02 UTC));
        let asked = groups(&logs, &["token"]).between(Some(since), Some(until));
        assert_eq!(all(asked).await, [1_000, 2_000, 302_000].map(|time| format!("audit {time}")));
    }

    #[tokio::test]
    async fn that_one_log_is_not_there_is_told_and_that_none_is_there_is_an_error() {
        let logs = MemoryLogs::default();
        logs.put("/aws/lambda/prod-token", 1, "audit");
        let mut some = groups(&logs, &["token", "enroll"]);
        assert_eq!(some.next_lines().await.unwrap().unwrap(), ["audit"]);
        assert_eq!(some.absent().collect::<Vec<_>>(), ["/aws/lambda/prod-enroll"]);
        let none = groups(&logs, &["enroll"]).next_lines().await;
        assert!(matches!(none, Err(AuditError::NoLog(stack)) if stack == "prod"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_wants_fewer_requests_is_asked_later() {
        let logs = MemoryLogs::default();
        logs.put("/aws/lambda/prod-token", 1, "audit");
        logs.switch.set(Failing::Throttled);
        let switch = logs.switch.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(10)).await;
            switch.set(Failing::No);
        });
        assert_eq!(all(groups(&logs, &["token"])).await, ["audit"]);
        logs.switch.set(Failing::Throttled);
        assert!(matches!(
            groups(&logs, &["token"]).next_lines().await,
            Err(AuditError::Aws(AwsError::NoAnswer { source: Fault::Throttled(_), .. }))
        ));
        logs.switch.set(Failing::Forbidden);
        assert!(matches!(
            groups(&logs, &["token"]).next_lines().await,
            Err(AuditError::Aws(AwsError::NotPermitted { .. }))
        ));
    }
}
