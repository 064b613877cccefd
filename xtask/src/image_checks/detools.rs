//! Delta patches against detools, whose format they have: it applies ours, we apply its, and ours are no larger.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{packages, process};

const TOOL: &str = "detools==0.53.0";
/// Parameters of heatshrink: what detools uses unless told otherwise, and what our own boards can follow.
const PARAMETERS: [(&str, &str); 2] = [("8", "7"), ("10", "9")];

/// What a patch leads from and to.
struct Pair {
    name: &'static str,
    old: Vec<u8>,
    new: Vec<u8>,
}

struct Bench {
    detools: PathBuf,
    /// The example program of the image crate.
    delta: PathBuf,
    folder: PathBuf,
}

/// Makes and applies patches of made images, both ways.
///
/// # Errors
/// When a patch does not give the image it should, or one of ours is larger than that of detools.
pub(super) fn check(samples: &Path) -> Result<()> {
    let folder = samples.join("patches");
    std::fs::create_dir_all(&folder)?;
    let bench = Bench {
        detools: packages::ensure_python_tool(TOOL, "detools")?,
        delta: build()?,
        folder,
    };
    for pair in pairs() {
        for (window, lookahead) in PARAMETERS {
            bench.both_ways(&pair, window, lookahead).with_context(|| {
                format!("{}, window {window}, lookahead {lookahead}", pair.name)
            })?;
        }
    }
    Ok(())
}

/// Builds the example program; patches of large images take long without optimisation.
fn build() -> Result<PathBuf> {
    let mut command = process::cargo();
    command.args([
        "build",
        "-q",
        "-p",
        "espalier-image",
        "--features",
        "encode",
    ]);
    process::run(command.args(["--example", "delta"]))?;
    Ok(process::target_folder().join("debug/examples/delta"))
}

impl Bench {
    fn both_ways(&self, pair: &Pair, window: &str, lookahead: &str) -> Result<()> {
        let file = |name: &str| self.folder.join(name);
        let (old, new, made) = (file("old"), file("new"), file("made"));
        let (theirs, ours) = (file("theirs"), file("ours"));
        std::fs::write(&old, &pair.old)?;
        std::fs::write(&new, &pair.new)?;
        let mut create = Command::new(&self.detools);
        create.args(["create_patch", "--compression", "heatshrink"]);
        create.args(["--heatshrink-window-sz2", window]);
        create.args(["--heatshrink-lookahead-sz2", lookahead]);
        process::read(create.arg(&old).arg(&new).arg(&theirs))?;
        let mut encode = Command::new(&self.delta);
        encode.arg("encode").arg(&old).arg(&new).arg(&ours);
        process::read(encode.args([window, lookahead]))?;

        let mut apply = Command::new(&self.delta);
        process::read(apply.arg("apply").arg(&old).arg(&theirs).arg(&made))?;
        ensure!(
            std::fs::read(&made)? == pair.new,
            "a patch of detools gives another image"
        );
        let mut apply = Command::new(&self.detools);
        process::read(apply.arg("apply_patch").arg(&old).arg(&ours).arg(&made))?;
        ensure!(
            std::fs::read(&made)? == pair.new,
            "detools makes another image of our patch"
        );

        let (theirs, ours) = (
            std::fs::metadata(&theirs)?.len(),
            std::fs::metadata(&ours)?.len(),
        );
        println!(
            "    {}, {window}/{lookahead}: detools {theirs} bytes, ours {ours}",
            pair.name
        );
        ensure!(
            ours <= theirs,
            "our patch has {ours} bytes, that of detools {theirs}"
        );
        Ok(())
    }
}

/// What builds do to images, from a changed text to another program.
fn pairs() -> Vec<Pair> {
    let old = code(1, 24_000, &[]);
    let mut version = old.clone();
    version[64..74].copy_from_slice(b"2.0.0-rc.1");
    let inserted = code(1, 24_000, &[9_000]);
    let often = code(1, 24_000, &[100, 4_000, 4_001, 12_000, 20_000]);
    let mut moved = old[60_000..].to_vec();
    moved.extend_from_slice(&old[..60_000]);
    let pair = |name, new: &[u8]| Pair {
        name,
        old: old.clone(),
        new: new.to_vec(),
    };
    vec![
        pair("the same", &old),
        pair("another version", &version),
        pair("a new function", &inserted),
        pair("new functions", &often),
        pair("halves exchanged", &moved),
        pair("the start alone", &old[..50_000]),
        pair("another program", &code(2, 8_000, &[])),
        Pair {
            name: "from nothing",
            old: vec![0],
            new: code(3, 4_000, &[]),
        },
    ]
}

/// Made code: words of few kinds, calls relative to where they are, and a table of addresses at the end. At each place of
/// `inserted` stands a new function, which moves all that is behind it.
fn code(seed: u32, words: u32, inserted: &[u32]) -> Vec<u8> {
    const NEW: u32 = 160;
    let mut state = seed;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    let address = |word: u32| {
        let before = inserted.iter().filter(|place| **place <= word).count() as u32;
        0x4200_0000 + 4 * (word + before * NEW)
    };
    let mut image = Vec::new();
    let mut put = |word: u32| image.extend_from_slice(&word.to_le_bytes());
    for word in 0..words {
        if inserted.contains(&word) {
            for n in 0..NEW {
                put(n.wrapping_mul(0x9e37_79b9));
            }
        }
        let (kind, target) = (random(), random() % words);
        match kind % 8 {
            0 => put(address(target).wrapping_sub(address(word)) << 8 | 0xef),
            1 => put(address(target) & 0xffff_f000 | 0x37),
            2 | 3 => put(0x0001_0113 + ((kind % 512) << 20)),
            _ => put(kind % 4096 * 0x0001_0041),
        }
    }
    for entry in 0..words / 16 {
        put(address(entry * 16));
    }
    image
}
