//! The places of the pool that a proof is made from, as the client chose them.

use std::ops::Range;

use aws_lc_rs::digest::{Context, SHA256};

use crate::pool::Pool;

/// The characters of a line, by which a line number shifts an interval. (A pool's lines have an LF as well; the older
/// service shifts by this all the same.)
const LINE: u64 = 2048;

/// The most intervals.
const MAX_INTERVALS: usize = 64;

/// The least of distinct places of the pool that intervals cover together, line ends not counted: everybody knows what they are
/// and where.
const MIN_POSITIONS: usize = 64;

/// The most characters that intervals cover in all: what bounds the work of a request, and what each request takes.
const MAX_CHARACTERS: usize = MAX_INTERVALS * 2048;

/// Intervals as they stand in a message: `a,b,line|a,b,line|...`, in decimal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claimed(Vec<[u64; 3]>);

/// Intervals that lie inside a pool and cover enough of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Intervals(Vec<Range<usize>>);

impl Claimed {
    /// No intervals.
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// Reads intervals; `None` where they are not of this form. A bar at the end is passed over.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('|').unwrap_or(text);
        let interval = |text: &str| {
            let mut numbers = text.split(',').map(number);
            let interval = [numbers.next()??, numbers.next()??, numbers.next()??];
            numbers.next().is_none().then_some(interval)
        };
        text.split('|').map(interval).collect::<Option<_>>().map(Self)
    }

    /// The intervals inside this pool: 1 to 64, each from the smaller to before the larger number, both shifted by the
    /// line; `None` where one leaves the pool, where they cover fewer than 64 distinct places, or too many characters.
    ///
    /// No intervals fit a pool that they could cover whole: its hash is public.
    pub(super) fn within(&self, pool: &Pool) -> Option<Intervals> {
        if self.0.len() > MAX_INTERVALS || pool.expose().len() <= MAX_CHARACTERS {
            return None;
        }
        let place = |[a, b, line]: &[u64; 3]| {
            let shift = line.checked_mul(LINE)?;
            let start = usize::try_from(a.min(b).checked_add(shift)?).ok()?;
            let end = usize::try_from(a.max(b).checked_add(shift)?).ok()?;
            (end <= pool.expose().len()).then_some(start..end)
        };
        let intervals = Intervals(self.0.iter().map(place).collect::<Option<_>>()?);
        let fits = intervals.characters() <= MAX_CHARACTERS && intervals.positions(pool) >= MIN_POSITIONS;
        fits.then_some(intervals)
    }
}

impl Intervals {
    /// No intervals, which no pool accepts; their digest takes as long as any other.
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// SHA-256 over the text of the intervals, joined.
    ///
    /// It hashes the same number of bytes whatever the intervals are.
    pub(super) fn digest(&self, pool: &Pool) -> [u8; 32] {
        let pool = pool.expose();
        let mut joined = Context::new(&SHA256);
        for interval in &self.0 {
            joined.update(&pool[interval.clone()]);
        }
        let mut filler = Context::new(&SHA256);
        let mut left = MAX_CHARACTERS - self.characters();
        while left > 0 {
            let part = left.min(pool.len());
            filler.update(&pool[..part]);
            left -= part;
        }
        std::hint::black_box(filler.finish());
        joined.finish().as_ref().try_into().expect("SHA-256 is 32 bytes")
    }

    fn characters(&self) -> usize {
        self.0.iter().map(ExactSizeIterator::len).sum()
    }

    /// How many distinct places of the pool they cover, line ends not counted.
    fn positions(&self, pool: &Pool) -> usize {
        let mut sorted: Vec<&Range<usize>> = self.0.iter().collect();
        sorted.sort_unstable_by_key(|interval| interval.start);
        let (mut covered, mut end) = (0, 0);
        for interval in sorted {
            let fresh = end.max(interval.start)..end.max(interval.end);
            covered += pool.expose()[fresh].iter().filter(|byte| **byte != b'\n').count();
            end = end.max(interval.end);
        }
        covered
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pool::MIN_POOL_BYTES, random::SystemRandom};

    fn many(count: usize, interval: &str) -> String {
        vec![interval; count].join("|")
    }

    fn apart(count: usize, length: usize) -> String {
        (0..count).map(|line| format!("100,{},{line}", 100 + length)).collect::<Vec<_>>().join("|")
    }

    /// The ends of the first lines, whose places and text everybody knows.
    fn line_ends(count: usize) -> String {
        (0..count).map(|line| format!("{},{},0", 2048 + 2049 * line, 2049 + 2049 * line)).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn a_pool_that_could_be_covered_whole_takes_no_intervals() {
        for (size, fits) in [(MIN_POOL_BYTES, false), (MAX_CHARACTERS, false), (MAX_CHARACTERS + 1, true)] {
            let pool = Pool::new((0..=255).cycle().take(size).collect()).unwrap();
            assert_eq!(Claimed::parse("0,100,0").unwrap().within(&pool).is_some(), fits, "{size}");
        }
    }

    #[test]
    fn what_is_not_of_the_form_is_not_read() {
        for bad in [
            "",
            "|",
            "1,2",
            "1,2,3,4",
            "1,2,3||1,2,3",
            "-1,2,3",
            "+1,2,3",
            "1, 2,3",
            "1.0,2,3",
            "a,b,c",
            "1,2,3\n",
            "1,2,99999999999999999999",
            "٣,2,3",
        ] {
            assert_eq!(Claimed::parse(bad), None, "{bad}");
        }
        assert_eq!(Claimed::parse("1,2,3|4,5,6|").unwrap(), Claimed(vec![[1, 2, 3], [4, 5, 6]]));
    }

    #[test]
    fn intervals_cover_enough_of_the_pool_and_not_too_much() {
        let pool = Pool::generate(&SystemRandom);
        let size = pool.expose().len();
        for (name, text, fits) in [
            ("64_places", "0,64,0".to_owned(), true),
            ("63_places", "0,63,0".to_owned(), false),
            ("backwards", "64,0,0".to_owned(), true),
            ("nothing", "0,0,0".to_owned(), false),
            ("nothing_many_times", many(64, "7,7,7"), false),
            ("one_character", "0,1,0".to_owned(), false),
            ("one_character_many_times", many(64, "0,1,0"), false),
            ("overlapping_in_63_places", "0,40,0|20,63,0|10,50,0".to_owned(), false),
            ("overlapping_in_64_places", "0,40,0|20,64,0|10,50,0".to_owned(), true),
            ("64_line_ends", line_ends(64), false),
            ("63_places_and_a_line_end", "1985,2049,0".to_owned(), false),
            ("64_places_and_a_line_end", "1984,2049,0".to_owned(), true),
            ("63_places_and_line_ends", format!("0,63,0|{}", line_ends(63)), false),
            ("64_single_places", apart(64, 1), true),
            ("63_single_places", apart(63, 1), false),
            ("65_intervals", apart(65, 64), false),
            ("all_that_may_be", apart(64, 2048), true),
            ("one_more", format!("{}|0,2049,9", apart(63, 2048)), false),
            ("up_to_the_end", format!("{},{size},0", size - 65), true),
            ("beyond_the_end", format!("{},{},0", size - 64, size + 1), false),
            ("one_of_them_beyond_the_end", format!("0,64,0|{size},{},0", size + 1), false),
            ("a_line_beyond_the_end", "0,64,2049".to_owned(), false),
            ("numbers_without_end", format!("0,64,{}", u64::MAX), false),
            ("a_sum_without_end", format!("{},{},9007199254740991", u64::MAX, u64::MAX - 64), false),
        ] {
            let found = Claimed::parse(&text).unwrap().within(&pool);
            assert_eq!(found.is_some(), fits, "{name}");
        }
    }

    #[test]
    fn the_digest_is_that_of_the_joined_text() {
        let pool = Pool::new((0..=255).cycle().take(2 * MAX_CHARACTERS).collect()).unwrap();
        let intervals = Claimed::parse("100,0,0|5,10,3").unwrap().within(&pool).unwrap();
        let text = [&pool.expose()[..100], &pool.expose()[3 * 2048 + 5..3 * 2048 + 10]].concat();
        assert_eq!(intervals.digest(&pool).as_slice(), aws_lc_rs::digest::digest(&SHA256, &text).as_ref());
    }
}
