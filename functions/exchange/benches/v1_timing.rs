//! Whether the time that a refusal takes tells why: v1 requests that are wrong in one way each, beside requests whose
//! message is garbage, through the whole handler over memory.
//!
//! Welch's t-test over the samples below the 95th percentile, as in "Dude, is my code constant time?" (Reparaz, Balasch,
//! Verbauwhede 2017): |t| above 4.5 tells two classes apart. The first row is garbage beside garbage and shows what chance
//! does; the last is a payload twice as long and shows that a difference would be seen.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::time::Instant;

use axum::http::{Method, StatusCode};
use fixture::{
    World,
    v1::{INTERVALS, V1Client, body, padded, parts},
};
use protocol::{KeySize, Random as _, ServerKey, SystemRandom};

const SAMPLES: usize = 8000;

/// The length of every message, which spaces fill.
const LENGTH: usize = 1023;

struct Class<'a> {
    name: &'static str,
    make: Box<dyn Fn() -> String + 'a>,
    microseconds: Vec<f64>,
}

fn main() {
    let world = World::with_v1();
    let pem = world.manifest.server_key.to_pem().unwrap();
    let other = ServerKey::from_pem(ServerKey::generate(KeySize::Rsa2048).expose()).unwrap();
    let other_pem = other.public().to_pem().unwrap();
    let client = || V1Client::new(&pem, world.pool.expose());
    let text = String::from_utf8(client().message("app/db")).unwrap();
    let sealed = |message: String| client().body(format!("{message:LENGTH$}").as_bytes());
    let garbage = |length: usize| {
        let mut blocks = vec![0; length];
        SystemRandom.fill(&mut blocks);
        blocks
    };
    let class = |name, make| Class { name, make, microseconds: Vec::with_capacity(SAMPLES) };
    let mut classes = [
        class("garbage", Box::new(|| client().body(&garbage(LENGTH))) as Box<dyn Fn() -> String>),
        class("garbage again", Box::new(|| client().body(&garbage(LENGTH)))),
        class(
            "padding that fails",
            Box::new(|| {
                let mut blocks = padded(&garbage(LENGTH));
                *blocks.last_mut().unwrap() = 17;
                client().body_of_blocks(&blocks)
            }),
        ),
        class("a message, padding that fails", Box::new(|| client().body_of_blocks(format!("{text:1024}").as_bytes()))),
        class("another server key", Box::new(|| V1Client::new(&other_pem, world.pool.expose()).body(&garbage(LENGTH)))),
        class(
            "RSA ciphertext of another length",
            Box::new(|| {
                let [data, payload] = parts(&client().body(&garbage(LENGTH)));
                body(&data[1..], &payload)
            }),
        ),
        class("another store", Box::new(|| sealed(text.replace("secretsmanager", "secretsmanages")))),
        class("empty intervals", Box::new(|| sealed(text.replace(INTERVALS, "0,0,0|100,100,7|0,0,1")))),
        class("intervals out of range", Box::new(|| sealed(text.replace(INTERVALS, "3,90,0|100,40,7|0,32,99")))),
        class("too little material", Box::new(|| sealed(text.replace(INTERVALS, "3,20,0|100,90,7|0,32,12")))),
        class("too many intervals", Box::new(|| sealed(text.replace(INTERVALS, &vec!["0,9,0"; 65].join("|"))))),
        class("a wrong hash", Box::new(|| sealed(text.replace(INTERVALS, "4,90,0|100,40,7|0,32,12")))),
        class("garbage twice as long", Box::new(|| client().body(&garbage(2 * LENGTH)))),
    ];

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for round in 0..SAMPLES + SAMPLES / 20 {
        // All before the first is sent: how a body was made must not show in the processor's caches.
        let mut bodies: Vec<String> = classes.iter().map(|class| (class.make)()).collect();
        for index in shuffled(classes.len()) {
            let body = std::mem::take(&mut bodies[index]);
            let began = Instant::now();
            let answer = runtime.block_on(world.send(Method::POST, "/verify", None, body));
            let elapsed = began.elapsed();
            assert_eq!(answer.status, StatusCode::NOT_FOUND);
            // The first rounds warm up.
            if round >= SAMPLES / 20 {
                classes[index].microseconds.push(elapsed.as_secs_f64() * 1e6);
            }
        }
    }

    let mut all: Vec<f64> = classes.iter().flat_map(|class| class.microseconds.iter().copied()).collect();
    all.sort_by(f64::total_cmp);
    let bound = all[all.len() * 95 / 100];
    let base = Moments::of(&classes[0].microseconds, bound);
    println!("{SAMPLES} of each; garbage takes {:.1} us (standard deviation {:.1})", base.mean, base.variance.sqrt());
    println!("{:32} {:>16} {:>8}", "beside garbage", "difference", "t");
    for class in &classes[1..] {
        let other = Moments::of(&class.microseconds, bound);
        let error = (base.variance / base.count + other.variance / other.count).sqrt();
        let difference = other.mean - base.mean;
        println!("{:32} {difference:>+13.2} us {:>+8.2}", class.name, difference / error);
    }
}

struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(samples: &[f64], bound: f64) -> Self {
        let kept: Vec<f64> = samples.iter().copied().filter(|sample| *sample <= bound).collect();
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let variance = kept.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self { count, mean, variance }
    }
}

/// 0 .. length in a random order, so that no class always follows the same other.
fn shuffled(length: usize) -> Vec<usize> {
    let mut order: Vec<(u64, usize)> = (0..length)
        .map(|index| {
            let mut bytes = [0; 8];
            SystemRandom.fill(&mut bytes);
            (u64::from_be_bytes(bytes), index)
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, index)| index).collect()
}
