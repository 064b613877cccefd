//! Images signed for Secure Boot v2 by Espressif's espsecure: recognised and described, and refused when the signed bytes change.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::Bench;
use crate::process;

/// What espsecure calls a scheme, and what we call it.
const SCHEMES: [(&str, &str); 4] = [
    ("rsa3072", "RSA-3072"),
    ("ecdsa192", "ECDSA-P192"),
    ("ecdsa256", "ECDSA-P256"),
    ("ecdsa384", "ECDSA-P384"),
];

/// Signs an image in every way, once and twice.
///
/// # Errors
/// When espsecure fails, or its signatures are not described as what they are.
pub(super) fn check(bench: &Bench) -> Result<()> {
    let image = bench.samples.join("good-esp32c3.bin");
    for (theirs, ours) in SCHEMES {
        let file = |ending: &str| bench.samples.join(format!("signed-{theirs}.{ending}"));
        let (key, once, twice) = (file("pem"), file("once"), file("twice"));
        let mut make = espsecure(bench, "generate-signing-key");
        process::read(make.args(["--scheme", theirs]).arg(&key))?;
        let mut sign = espsecure(bench, "sign-data");
        process::read(
            sign.arg("--keyfile")
                .arg(&key)
                .arg("--output")
                .arg(&once)
                .arg(&image),
        )?;
        let mut again = espsecure(bench, "sign-data");
        again.arg("--append-signatures").arg("--keyfile").arg(&key);
        process::read(again.arg("--output").arg(&twice).arg(&once))?;
        described(bench, &once, ours, 1)?;
        described(bench, &twice, ours, 2)?;
        let mut bytes = std::fs::read(&twice)?;
        // In the padding, which only the signatures cover.
        if let Some(byte) = bytes.get_mut(4000) {
            *byte ^= 1;
        }
        std::fs::write(&twice, bytes)?;
        let (found, sound) = bench.inspect(&twice)?;
        ensure!(!sound, "{ours}: changed bytes are accepted: {found}");
    }
    Ok(())
}

fn espsecure(bench: &Bench, command: &str) -> Command {
    let mut espsecure = Command::new(bench.esptool.with_file_name("espsecure"));
    espsecure.args([command, "--version", "2"]);
    espsecure
}

fn described(bench: &Bench, file: &Path, scheme: &str, blocks: u64) -> Result<()> {
    let (found, sound) = bench.inspect(file)?;
    let signed = &found["app"]["secure_boot"];
    ensure!(
        sound && signed["scheme"] == scheme && signed["blocks"] == blocks,
        "wanted {blocks} x {scheme}: {found}"
    );
    Ok(())
}
