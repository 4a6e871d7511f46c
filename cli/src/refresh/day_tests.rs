//! A day of refreshing, looked at every second.

use std::{collections::BTreeMap, time::Duration};

use protocol::Want;
use tokio::{
    sync::mpsc::{self, error::TryRecvError},
    time::{Instant, sleep},
};

use super::{
    Event,
    simulation::{HOUR, MINUTE, Mood, SECOND, Simulation, member, name, role, secret, token},
};
use crate::config::{Item, RefreshSettings};

/// What must hold at every second, held against what the broker gave.
struct Witness {
    simulation: Simulation,
    events: mpsc::Receiver<Event>,
    began: Instant,
    looked_at: usize,
    /// By how much the clock was slow when something came, in seconds: nobody can tell then.
    slow_by: u64,
    /// By the want: when it was last given, in true time.
    given: Vec<(Want, u64)>,
    changed: BTreeMap<String, u32>,
    ended: BTreeMap<String, u32>,
    lent: BTreeMap<String, String>,
}

impl Witness {
    async fn of(items: Vec<Item>) -> Self {
        let mut simulation = Simulation::new(items);
        simulation.start(2 * MINUTE).await.unwrap();
        let (events, _) = simulation.refresher().spawn();
        let (given, changed) = (Vec::new(), BTreeMap::new());
        let began = Instant::now();
        Self {
            simulation,
            events,
            began,
            looked_at: 0,
            slow_by: 0,
            given,
            changed,
            ended: BTreeMap::new(),
            lent: BTreeMap::new(),
        }
    }

    /// Lets time pass until so long after the begin, and looks every second.
    async fn until(&mut self, time: Duration) {
        while self.began.elapsed() < time {
            sleep(SECOND).await;
            self.look();
        }
    }

    fn look(&mut self) {
        let now = self.simulation.clock.truth();
        for seen in self.simulation.broker.world().seen.iter().skip(self.looked_at).filter(|seen| seen.is_given) {
            for want in &seen.wants {
                self.given.retain(|(other, _)| other != want);
                self.given.push((want.clone(), now));
            }
        }
        self.looked_at = self.simulation.broker.requests();
        for item in self.simulation.holdings.items() {
            let Some(value) = self.simulation.holdings.value(&item.name) else { continue };
            let want = item.source.want();
            let given = self.given.iter().find(|(other, _)| *other == want).unwrap().1;
            assert!(now <= given + item.keep.as_secs(), "{} is lent after it was kept for {:?}", item.name, item.keep);
            assert!(
                value.expires_at().is_none_or(|end| now < end + self.slow_by),
                "{} is lent after its end",
                item.name
            );
            let text = String::from_utf8(value.expose().to_vec()).unwrap();
            self.lent.insert(item.name.to_string(), text);
        }
        loop {
            let (names, into) = match self.events.try_recv() {
                Ok(Event::Changed(names)) => (names, &mut self.changed),
                Ok(Event::Ended(names)) => (names, &mut self.ended),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => panic!("the upkeep has ended"),
            };
            for name in names {
                *into.entry(name.to_string()).or_default() += 1;
            }
        }
    }

    fn changed(&self, item: &str) -> u32 {
        self.changed.get(item).copied().unwrap_or_default()
    }

    fn ended(&self, item: &str) -> u32 {
        self.ended.get(item).copied().unwrap_or_default()
    }

    /// How many requests came between these times.
    fn requests(&self, from: Duration, to: Duration) -> usize {
        self.simulation.broker.times().iter().filter(|time| (from..to).contains(*time)).count()
    }
}

fn items() -> Vec<Item> {
    let mut items = vec![
        secret("db", "app/db"),
        member("password", "app/db", "password"),
        secret("mail", "app/mail"),
        secret("brief", "app/brief"),
        role("nightly"),
        token(),
    ];
    items[3].keep = HOUR;
    items
}

#[tokio::test(start_paused = true)]
async fn a_quiet_day_changes_what_ends_and_nothing_else_and_asks_no_oftener_than_it_has_to() {
    let mut day = Witness::of(items()).await;
    day.until(24 * HOUR).await;
    for unchanged in ["db", "password", "mail", "brief"] {
        assert_eq!(day.changed(unchanged), 0, "{unchanged}");
    }
    // Every 30 to 40 minutes, every 5 to 6⅔ minutes.
    assert!((36..=49).contains(&day.changed("nightly")), "{}", day.changed("nightly"));
    assert!((216..=292).contains(&day.changed("token")), "{}", day.changed("token"));
    assert!(day.ended.is_empty());
    // The secrets together, 288 to 320 times; the token and the role, unless secrets are due soon and come along.
    let requests = day.simulation.broker.requests();
    assert!((288..=660).contains(&requests), "{requests}");
    let follows = day.simulation.broker.world().follows;
    assert!((20..=33).contains(&follows), "{follows}");
}

#[tokio::test(start_paused = true)]
async fn a_rotated_secret_comes_within_its_interval_and_touches_no_other() {
    let mut day = Witness::of(items()).await;
    for hour in 1..=10_u32 {
        day.until(hour * HOUR).await;
        day.simulation.broker.rotate("app/db");
        day.until(hour * HOUR + RefreshSettings::DEFAULT.interval + SECOND).await;
        assert_eq!(day.lent["password"], format!("app/db {}", hour + 1));
        assert_eq!((day.changed("db"), day.changed("password")), (hour, hour));
    }
    assert_eq!((day.changed("mail"), day.changed("brief"), day.ended.len()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn outages_end_what_is_past_its_use_by_and_all_recovers() {
    let mut day = Witness::of(items()).await;
    // Minutes: nothing ends but, perhaps, nothing. 4 minutes are less than a third of the token's life beyond its refresh.
    day.until(HOUR).await;
    day.simulation.broker.set(Mood::Unavailable);
    day.until(HOUR + 3 * MINUTE).await;
    day.simulation.broker.set(Mood::Gives);
    day.until(2 * HOUR).await;
    assert!(day.ended.is_empty(), "{:?}", day.ended);
    // Hours: the token, what is kept for an hour, and the role end, once; what is kept for a day stays.
    day.simulation.broker.set(Mood::Unavailable);
    day.until(5 * HOUR).await;
    assert_eq!(day.ended, [("brief", 1), ("nightly", 1), ("token", 1)].map(|(name, n)| (name.into(), n)).into());
    assert!(day.simulation.lent("db").is_some() && !day.simulation.holdings.is_ready());
    let requests = day.requests(2 * HOUR, 5 * HOUR);
    assert!((30..=140).contains(&requests), "{requests} requests in an outage of three hours");
    let changed = (day.changed("db"), day.changed("brief"));
    day.simulation.broker.set(Mood::Gives);
    day.until(5 * HOUR + RefreshSettings::DEFAULT.max_backoff + MINUTE).await;
    assert!(day.simulation.holdings.is_ready(), "all is there again");
    assert_eq!((day.changed("db"), day.changed("brief")), (changed.0, changed.1 + 1));
    let requests = day.requests(5 * HOUR, 5 * HOUR + 6 * MINUTE);
    assert!(requests <= 8, "{requests} requests to recover");
    // More than a day: everything ends.
    day.simulation.broker.set(Mood::Refuses);
    day.until(30 * HOUR).await;
    assert!(day.simulation.holdings.items().iter().all(|item| day.simulation.holdings.value(&item.name).is_none()));
    assert!(day.ended("db") == 1 && day.ended("mail") == 1 && day.ended("password") == 1);
    day.simulation.broker.set(Mood::Gives);
    day.until(30 * HOUR + RefreshSettings::DEFAULT.max_backoff + MINUTE).await;
    assert!(day.simulation.holdings.is_ready() && day.changed("db") == 1);
}

#[tokio::test(start_paused = true)]
async fn a_denied_item_keeps_its_value_until_its_use_by_and_touches_no_other() {
    let mut day = Witness::of(items()).await;
    day.until(HOUR).await;
    day.simulation.broker.world().denied.extend(["app/brief".into(), "app/mail".into()]);
    day.until(HOUR + 50 * MINUTE).await;
    assert!(day.simulation.lent("brief").is_some() && day.simulation.lent("mail").is_some());
    assert!(day.simulation.holdings.state(&name("brief")).failures > 5);
    day.until(2 * HOUR + MINUTE).await;
    assert_eq!((day.simulation.lent("brief"), day.ended("brief")), (None, 1));
    day.until(20 * HOUR).await;
    assert_eq!(day.ended, BTreeMap::from([("brief".into(), 1)]));
    assert!(day.changed("token") > 180, "the others go on");
    let denied = day.requests(4 * HOUR, 20 * HOUR);
    assert!(denied < 16 * (13 + 10 + 2 * 36), "{denied} requests in sixteen hours");
    day.until(25 * HOUR).await;
    assert_eq!((day.simulation.lent("mail"), day.ended("mail")), (None, 1));
    day.simulation.broker.world().denied.clear();
    day.until(25 * HOUR + 6 * MINUTE).await;
    assert!(day.simulation.holdings.is_ready());
    assert_eq!((day.changed("brief"), day.changed("mail"), day.changed("db")), (1, 1, 0));
    assert_eq!(day.simulation.holdings.state(&name("brief")).failures, 0);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_makes_the_broker_fail_touches_no_other() {
    let mut day = Witness::of(items()).await;
    day.until(HOUR).await;
    day.simulation.broker.world().poisoned.insert("app/brief".into());
    day.until(HOUR + 10 * MINUTE).await;
    day.simulation.broker.rotate("app/db");
    day.until(HOUR + 16 * MINUTE).await;
    assert_eq!(day.lent["password"], "app/db 2");
    day.until(10 * HOUR).await;
    assert_eq!(day.ended, BTreeMap::from([("brief".into(), 1)]), "none but it ends");
    let requests = day.requests(2 * HOUR, 10 * HOUR);
    assert!(requests < 8 * (14 + 10 + 2 * 18), "{requests} requests in eight hours");
    day.simulation.broker.world().poisoned.clear();
    day.until(10 * HOUR + 6 * MINUTE).await;
    assert!(day.simulation.holdings.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_throttles_is_left_alone_for_as_long_as_it_asks() {
    let mut day = Witness::of(vec![secret("db", "app/db"), secret("mail", "app/mail")]).await;
    day.until(HOUR).await;
    day.simulation.broker.set(Mood::Throttles(Some(20 * MINUTE)));
    day.until(3 * HOUR).await;
    let times = day.simulation.broker.times();
    let throttled: Vec<_> = times.into_iter().filter(|time| *time > HOUR).collect();
    assert!((5..=7).contains(&throttled.len()), "{throttled:?}");
    assert!(throttled.windows(2).all(|pair| pair[1] - pair[0] >= 20 * MINUTE), "{throttled:?}");
    assert_eq!(day.simulation.holdings.state(&name("db")).failures, 0, "throttling is nobody's failure");
    day.simulation.broker.set(Mood::Throttles(Some(1000 * HOUR)));
    day.until(8 * HOUR).await;
    assert!((4..=6).contains(&day.requests(3 * HOUR, 8 * HOUR)), "an hour at most");
    day.simulation.broker.set(Mood::Gives);
    day.until(9 * HOUR + 6 * MINUTE).await;
    assert!(day.simulation.holdings.is_ready());
}

/// Anybody on the way may have said it.
#[tokio::test(start_paused = true)]
async fn no_wait_that_is_asked_for_lets_end_what_could_be_given() {
    let mut day = Witness::of(items()).await;
    for hour in 1..=10_u32 {
        day.until(hour * HOUR).await;
        day.simulation.broker.set(Mood::Throttles(Some(HOUR)));
        while day.requests(hour * HOUR, 100 * HOUR) == 0 {
            day.until(day.began.elapsed() + SECOND).await;
        }
        day.simulation.broker.set(Mood::Gives);
    }
    day.until(11 * HOUR).await;
    assert!(day.ended.is_empty() && day.simulation.holdings.is_ready(), "{:?}", day.ended);
    // Where it goes on, it is asked again at the shortest interval at most, also when the end is near.
    day.simulation.broker.set(Mood::Throttles(Some(HOUR)));
    day.until(13 * HOUR).await;
    let times = day.simulation.broker.times();
    let throttled: Vec<_> = times.into_iter().filter(|time| *time > 11 * HOUR + MINUTE * 7).collect();
    let shortest = RefreshSettings::DEFAULT.min_interval;
    assert!(throttled.windows(2).all(|pair| pair[1] - pair[0] >= shortest), "{throttled:?}");
    assert!((4..=40).contains(&throttled.len()), "{throttled:?}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_lends_nothing_that_ended_meanwhile_and_asks_at_once() {
    let mut day = Witness::of(items()).await;
    for hours in 1..=6_u32 {
        day.until(hours * 2 * HOUR).await;
        day.simulation.broker.rotate("app/db");
        let asked = day.simulation.broker.requests();
        day.simulation.clock.sleep(hours * HOUR);
        assert_eq!(day.simulation.lent("nightly"), None, "not even before the upkeep noticed");
        day.until(hours * 2 * HOUR + MINUTE + SECOND).await;
        assert!(day.simulation.holdings.is_ready());
        assert_eq!(day.lent["password"], format!("app/db {}", hours + 1));
        assert!(day.simulation.broker.requests() - asked <= 2, "one request for all of it");
    }
    assert_eq!((day.ended("db"), day.ended("nightly"), day.changed("mail")), (0, 6, 0));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_prolongs_nothing_and_delays_nothing() {
    let mut day = Witness::of(items()).await;
    day.until(HOUR).await;
    // Within what the broker takes, so that it goes on giving; far beyond it while it does not.
    day.simulation.clock.set_wrong_by(-20);
    day.slow_by = 20;
    day.until(2 * HOUR).await;
    let requests = day.requests(HOUR, 2 * HOUR);
    assert!((12..=30).contains(&requests), "{requests}");
    day.simulation.broker.set(Mood::Refuses);
    day.simulation.clock.set_wrong_by(-86_400);
    day.until(4 * HOUR).await;
    assert_eq!((day.ended("token"), day.ended("nightly"), day.ended("brief")), (1, 1, 1));
    assert!(day.requests(2 * HOUR, 4 * HOUR) >= 20, "it is asked for all the while");
    day.simulation.clock.set_wrong_by(0);
    day.simulation.broker.set(Mood::Gives);
    day.until(4 * HOUR + 6 * MINUTE).await;
    assert!(day.simulation.holdings.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_to_and_fro_makes_no_storm() {
    let mut day = Witness::of(items()).await;
    for minute in 1..=60_u32 {
        day.until(minute * MINUTE).await;
        day.simulation.clock.set_wrong_by(if minute % 2 == 0 { 0 } else { 1200 });
    }
    let requests = day.simulation.broker.requests();
    assert!(requests <= 2 * 61, "{requests} requests in an hour");
    day.simulation.clock.set_wrong_by(0);
    day.until(HOUR + 6 * MINUTE).await;
    assert!(day.simulation.holdings.is_ready());
}
