//! The fuzzers without a fuzzer: every seed, and mutations of it that are the same in every run.

use std::{
    env, fs,
    path::Path,
    time::{Duration, Instant},
};

use arbitrary::{Arbitrary as _, Unstructured};

/// Mutations of each seed, and streams.
const ROUNDS: u32 = 500;

/// Pieces that mean something to JSON, YAML or a field.
const PIECES: [&str; 28] = [
    "", "\"", "{", "}", "[", "]", ",", ":", "null", "true", "-1", "0", "65536", "1.5", "1e999", "\\u0000", "\\ud800",
    "é", "\"*\"", "[]", "{}", "\"a\"", "\"\"", "a", "\n", " ", "$(A)", "(",
];

/// xorshift64*, with a seed that is no secret.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap_or_default() % sides
    }
}

/// Calls with growing numbers: so many times, or for `FUZZ_SECONDS`.
fn rounds(mut one: impl FnMut(u32)) {
    let seconds = env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let start = Instant::now();
    for round in 0.. {
        if seconds.map_or(round >= ROUNDS, |seconds| start.elapsed() >= seconds) {
            return;
        }
        one(round);
    }
}

fn mutated(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=dice.roll(3) {
        let start = dice.roll(data.len() + 1);
        let end = (start + dice.roll(12)).min(data.len());
        let piece = match dice.roll(4) {
            0 => vec![u8::try_from(dice.roll(256)).unwrap_or_default()],
            // Another part of itself.
            1 => {
                let from = dice.roll(data.len() + 1);
                data[from..(from + dice.roll(40)).min(data.len())].to_vec()
            }
            _ => PIECES[dice.roll(PIECES.len())].as_bytes().to_vec(),
        };
        data.splice(start..end, piece);
    }
    data
}

fn fuzz(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    let seeds: Vec<_> = seeds.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| run(seed));
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    rounds(|_| {
        for seed in &seeds {
            let data = mutated(seed, &mut dice);
            let shown = data.clone();
            let told = std::panic::catch_unwind(|| run(&data));
            assert!(told.is_ok(), "{}", String::from_utf8_lossy(&shown));
        }
    });
}

#[test]
fn manifests() {
    fuzz("manifests", mesh_fuzz::manifests::run);
}

#[test]
fn the_seeds_are_sound() {
    let all = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/manifests/all.json")).unwrap();
    let refused = mesh::api::parse(&all, "all.json", "default").err().unwrap_or_default();
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn admission() {
    fuzz("admission", mesh_fuzz::admission::run);
}

#[test]
fn conversion() {
    fuzz("conversion", mesh_fuzz::conversion::run);
}

#[test]
fn xds() {
    let mut dice = Dice(7);
    rounds(|_| {
        let size = 1 + dice.roll(2000);
        let bytes: Vec<u8> = (0..size).map(|_| u8::try_from(dice.roll(256)).unwrap_or_default()).collect();
        if let Ok(stream) = mesh_fuzz::xds::Stream::arbitrary(&mut Unstructured::new(&bytes)) {
            mesh_fuzz::xds::run(&stream);
        }
    });
}
