use std::{collections::BTreeMap, hint::black_box};

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use ports::Row;
use protocol::{Random, Secret, SubjectName};
use web::Caller;

use crate::channel::Channel;

/// How long a code is good for, in seconds.
pub(crate) const CODE_SECONDS: u64 = 300;

/// How often a code can be tried.
pub(crate) const MAX_TRIES: u32 = 5;

const DIGITS: usize = 8;
const CODES: u32 = 100_000_000;

/// What is not a code's: the largest multiple of the number of codes that 32 bits hold, and what is above it.
const UNEVEN_FROM: u32 = u32::MAX / CODES * CODES;

const CHALLENGE_BYTES: usize = 16;

/// What a subject proves itself with: eight decimal digits.
#[derive(Debug)]
pub(crate) struct Code(Secret<String>);

impl Code {
    /// A new code, each as likely as any other.
    pub(crate) fn new(random: &dyn Random) -> Self {
        loop {
            let mut bytes = [0; 4];
            random.fill(&mut bytes);
            let number = u32::from_be_bytes(bytes);
            if number < UNEVEN_FROM {
                return Self(Secret::new(format!("{:0DIGITS$}", number % CODES)));
            }
        }
    }

    /// Reads a code; `None` where it is not of the form.
    pub(crate) fn parse(text: Secret<String>) -> Option<Self> {
        let is_code = text.expose().len() == DIGITS && text.expose().bytes().all(|byte| byte.is_ascii_digit());
        is_code.then_some(Self(text))
    }

    /// Lends the digits, for whom they are sent to.
    pub(crate) const fn expose(&self) -> &String {
        self.0.expose()
    }
}

/// What is made under the hash of a subject, which it does not tell.
pub(crate) fn hash(subject: &SubjectName) -> String {
    hex::encode(digest(&SHA256, subject.as_str().as_bytes()))
}

/// A code that is open, as the ledger knows it: a row for each subject, and so one code.
///
/// The row does not hold the code, and without the key nobody finds it by trying all of them.
#[derive(Debug)]
pub(crate) struct OpenCode {
    /// Names the code: 16 random bytes, hex. Tries are counted under it.
    pub(crate) challenge: String,
    /// By which channel it was asked for; the older routes know none for subjects that have no address.
    pub(crate) channel: Option<Channel>,
    hmac: Vec<u8>,
    expires_at: u64,
}

impl OpenCode {
    /// The record of a code that is about to be sent.
    pub(crate) fn new(
        subject: &SubjectName,
        code: &Code,
        channel: Option<Channel>,
        key: &hmac::Key,
        now: u64,
        random: &dyn Random,
    ) -> Self {
        let mut challenge = [0; CHALLENGE_BYTES];
        random.fill(&mut challenge);
        let challenge = hex::encode(challenge);
        let hmac = hmac::sign(key, message(&challenge, subject, code).expose()).as_ref().to_vec();
        Self { challenge, channel, hmac, expires_at: now + CODE_SECONDS }
    }

    /// The same for a code that nobody gets, not even by guessing.
    pub(crate) fn dead(mut self, random: &dyn Random) -> Self {
        random.fill(&mut self.hmac);
        self
    }

    /// The row's key.
    pub(crate) fn key(subject: &SubjectName) -> String {
        format!("code#{}", hash(subject))
    }

    /// The row. It ends with the code.
    pub(crate) fn into_row(self, subject: &SubjectName, caller: &Caller) -> Row {
        let mut record = vec![
            ("challenge", self.challenge),
            ("hmac", hex::encode(self.hmac)),
            ("expires_at", self.expires_at.to_string()),
            ("source_ip", caller.source_ip.to_string()),
            ("request_id", caller.request_id.clone()),
        ];
        record.extend(self.channel.map(|channel| ("channel", channel.as_str().to_owned())));
        Row { key: Self::key(subject), ttl: Some(self.expires_at), record }
    }

    /// Reads a row; `None` where it is not of this form.
    pub(crate) fn from_record(mut record: BTreeMap<String, String>) -> Option<Self> {
        let channel = match record.remove("channel") {
            Some(name) => Some(Channel::named(&name)?),
            None => None,
        };
        Some(Self {
            challenge: record.remove("challenge")?,
            channel,
            hmac: hex::decode(record.remove("hmac")?).ok()?,
            expires_at: record.remove("expires_at")?.parse().ok()?,
        })
    }

    /// Whether its time has come. Rows outlive their `ttl`.
    pub(crate) const fn is_over(&self, now: u64) -> bool {
        self.remaining(now).is_none()
    }

    /// How many seconds are left to it.
    pub(crate) const fn remaining(&self, now: u64) -> Option<u64> {
        if self.expires_at <= now { None } else { Some(self.expires_at - now) }
    }

    /// Whether this is the code, in a time that does not tell how much of it is.
    pub(crate) fn is(&self, code: &Code, subject: &SubjectName, key: &hmac::Key) -> bool {
        hmac::verify(key, message(&self.challenge, subject, code).expose(), &self.hmac).is_ok()
    }
}

/// As much work as [`OpenCode::is`], where there is none.
pub(crate) fn compare_with_nothing(code: &Code, subject: &SubjectName, key: &hmac::Key) {
    let nothing = "0".repeat(2 * CHALLENGE_BYTES);
    black_box(hmac::verify(key, message(&nothing, subject, code).expose(), &[0; 32])).ok();
}

/// What the HMAC is over: neither a challenge's id nor a subject nor a code holds a zero byte.
fn message(challenge: &str, subject: &SubjectName, code: &Code) -> Secret<Vec<u8>> {
    let parts = ["countersign/code", challenge, subject.as_str(), code.expose()];
    let length = parts.iter().map(|part| part.len() + 1).sum();
    let mut message = Secret::new(Vec::with_capacity(length));
    for (position, part) in parts.into_iter().enumerate() {
        let separator: &[u8] = if position == 0 { b"" } else { b"\0" };
        // They fit: their lengths are what the capacity was made of.
        message.append_within_capacity(separator);
        message.append_within_capacity(part.as_bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use protocol::SystemRandom;

    use super::*;

    /// Gives these numbers, one after another, and zeros after them.
    struct Numbers(Mutex<Vec<u32>>);

    impl Random for Numbers {
        fn fill(&self, bytes: &mut [u8]) {
            let mut numbers = self.0.lock().unwrap();
            let next = if numbers.is_empty() { 0 } else { numbers.remove(0) };
            bytes.copy_from_slice(&next.to_be_bytes());
        }
    }

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 64])
    }

    fn code(text: &str) -> Code {
        Code::parse(Secret::new(text.to_owned())).unwrap()
    }

    #[test]
    fn codes_are_eight_digits_and_none_is_likelier_than_another() {
        for (numbers, digits) in [
            (vec![0], "00000000"),
            (vec![7], "00000007"),
            (vec![99_999_999], "99999999"),
            (vec![100_000_000], "00000000"),
            (vec![4_199_999_999], "99999999"),
            (vec![4_200_000_000, 1], "00000001"),
            (vec![u32::MAX, 4_294_967_294, 12_345_678], "12345678"),
        ] {
            assert_eq!(Code::new(&Numbers(Mutex::new(numbers.clone()))).expose(), digits, "{numbers:?}");
        }
    }

    #[test]
    fn what_is_not_eight_digits_is_no_code() {
        for bad in ["", "1234567", "123456789", "1234567a", "1234 567", "+1234567", "\u{661}\u{662}\u{663}\u{664}"] {
            assert!(Code::parse(Secret::new(bad.to_owned())).is_none(), "{bad}");
        }
        assert_eq!(format!("{:?}", code("12345678")), "Code([elided])");
    }

    #[test]
    fn a_code_is_good_for_its_subject_its_challenge_and_its_key_alone() {
        let (alice, bob): (SubjectName, SubjectName) = ("alice".parse().unwrap(), "bob".parse().unwrap());
        let open = || OpenCode::new(&alice, &code("12345678"), Some(Channel::Sms), &key(1), 1_000, &SystemRandom);
        let one = open();
        assert!(one.is(&code("12345678"), &alice, &key(1)));
        assert!(!one.is(&code("12345679"), &alice, &key(1)), "another code");
        assert!(!one.is(&code("12345678"), &bob, &key(1)), "another subject");
        assert!(!one.is(&code("12345678"), &alice, &key(2)), "another key");
        let other = OpenCode { challenge: open().challenge, ..one };
        assert!(!other.is(&code("12345678"), &alice, &key(1)), "another challenge");
    }

    #[test]
    fn a_dead_code_is_not_even_itself_and_looks_like_another() {
        let alice = "alice".parse().unwrap();
        let open = || OpenCode::new(&alice, &code("12345678"), None, &key(1), 1_000, &SystemRandom);
        let (live, dead) = (open(), open().dead(&SystemRandom));
        assert!(live.is(&code("12345678"), &alice, &key(1)) && !dead.is(&code("12345678"), &alice, &key(1)));
        assert_eq!((dead.hmac.len(), dead.expires_at), (live.hmac.len(), live.expires_at));
    }

    #[test]
    fn a_row_holds_no_code_and_reads_as_what_it_was() {
        let alice = "alice".parse().unwrap();
        let caller = Caller { source_ip: "192.0.2.7".parse().unwrap(), request_id: "r".into() };
        for channel in [Some(Channel::Mail), None] {
            let open = OpenCode::new(&alice, &code("12345678"), channel, &key(1), 1_000, &SystemRandom);
            let row = open.into_row(&alice, &caller);
            assert_eq!((row.key.len(), row.ttl), ("code#".len() + 64, Some(1_300)));
            assert!(!format!("{row:?}").contains("12345678"));
            let record = row.record.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let read = OpenCode::from_record(record).unwrap();
            assert!(read.is(&code("12345678"), &alice, &key(1)));
            assert_eq!((read.channel, read.is_over(1_299), read.is_over(1_300)), (channel, false, true));
        }
    }

    #[test]
    fn the_ledger_is_the_same_for_another_implementation() {
        // printf 'countersign/code\0%s\0alice\012345678' 00..00 (32 digits) | openssl dgst -sha256 -mac HMAC -macopt hexkey:0101.. (64 bytes)
        let expected = "2c591e5cde45db36f402df1e338e2b193badb6d69b52fd3d24a4678a1ac9ed98";
        let message = message(&"0".repeat(32), &"alice".parse().unwrap(), &code("12345678"));
        assert_eq!(hex::encode(hmac::sign(&key(1), message.expose())), expected);
    }
}
