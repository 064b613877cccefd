//! `espalier firmware`: keys, signatures and a look into images, as a person uses them.

use espalier_image::chip::Chip;
use espalier_image::make::Make;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn firmware(folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_espalier"))
        .arg("firmware")
        .args(line.split(' '))
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap()
}

/// Runs a command that must succeed and returns what it printed.
fn done(folder: &Path, line: &str) -> String {
    let output = firmware(folder, line);
    assert_eq!(output.status.code(), Some(0), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail and returns its complaint.
fn refused(folder: &Path, line: &str) -> String {
    let output = firmware(folder, line);
    assert_eq!(output.status.code(), Some(1), "{line}: {output:?}");
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.starts_with("espalier: "), "{complaint}");
    complaint
}

fn image(folder: &Path, name: &str, version: &str) {
    let make = Make {
        chip: Chip::Esp32S3,
        project: "greenhouse",
        version,
        ..Make::default()
    };
    std::fs::write(folder.join(name), make.bytes()).unwrap();
}

#[test]
fn an_image_is_signed_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    image(folder, "app.bin", "1.0.0");
    for name in ["one", "two", "other"] {
        assert!(done(folder, &format!("keygen --out {name}")).contains("secret"));
    }
    done(folder, "sign app.bin --key one.key");
    // A second signature is added, the first one stays.
    done(folder, "sign app.bin --key two.key");
    for key in ["one.pub", "two.pub"] {
        let said = done(
            folder,
            &format!("verify app.bin --key other.pub --key {key}"),
        );
        assert!(said.contains("greenhouse 1.0.0 for ESP32-S3"), "{said}");
    }
    std::fs::rename(folder.join("app.bin.sig"), folder.join("elsewhere")).unwrap();
    done(folder, "verify app.bin --sig elsewhere --key one.pub");
    assert!(refused(folder, "verify app.bin --key one.pub").contains("app.bin.sig"));
    let stranger = refused(folder, "verify app.bin --sig elsewhere --key other.pub");
    assert!(stranger.contains("not trusted"), "{stranger}");
    image(folder, "app.bin", "1.0.1");
    let changed = refused(folder, "verify app.bin --sig elsewhere --key one.pub");
    assert!(changed.contains("another SHA-256"), "{changed}");
}

#[test]
fn what_cannot_be_signed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    image(folder, "app.bin", "1.0.0");
    done(folder, "keygen --out k");
    assert!(refused(folder, "sign none.bin --key k.key").contains("none.bin"));
    let public = refused(folder, "sign app.bin --key k.pub");
    assert!(public.contains("no private key"), "{public}");
    let private = refused(folder, "verify k.key --key k.pub");
    assert!(private.contains("never give a private key"), "{private}");
    std::fs::write(folder.join("page.bin"), "<!DOCTYPE html>").unwrap();
    let page = refused(folder, "sign page.bin --key k.key");
    assert!(page.contains("web page"), "{page}");
    assert!(!folder.join("page.bin.sig").exists());
    done(folder, "sign app.bin --key k.key");
    image(folder, "app.bin", "2.0.0");
    let stale = refused(folder, "sign app.bin --key k.key");
    assert!(stale.contains("delete app.bin.sig"), "{stale}");
    assert_eq!(firmware(folder, "sign app.bin").status.code(), Some(2));
}

#[test]
fn keys_are_never_overwritten_nor_readable_by_others() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    done(folder, "keygen --out k");
    let first = std::fs::read(folder.join("k.key")).unwrap();
    assert!(refused(folder, "keygen --out k").contains("not overwritten"));
    std::fs::remove_file(folder.join("k.key")).unwrap();
    assert!(refused(folder, "keygen --out k").contains("k.pub exists"));
    assert!(!folder.join("k.key").exists());
    std::fs::remove_file(folder.join("k.pub")).unwrap();
    done(folder, "keygen --out k");
    assert_ne!(std::fs::read(folder.join("k.key")).unwrap(), first);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.join("k.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_key_set_is_written_by_a_trusted_key() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    done(folder, "keygen --out old");
    done(folder, "keygen --out new");
    done(
        folder,
        "keyset --serial 2 --key new.pub --sign-with old.key --out keys.txt",
    );
    let text = std::fs::read_to_string(folder.join("keys.txt")).unwrap();
    let set = espalier_image::keys::KeySet::parse(&text).unwrap();
    let old = std::fs::read_to_string(folder.join("old.pub")).unwrap();
    let old = espalier_image::keys::PublicKey::from_file(&old).unwrap();
    assert_eq!(set.verify(&[old], 1), Ok(old.id()));
    let twice = refused(
        folder,
        "keyset --serial 2 --key new.pub --key new.pub --sign-with old.key --out k",
    );
    assert!(twice.contains("repeats"), "{twice}");
    let said = done(folder, "inspect keys.txt --json");
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["serial"], 2);
}

#[test]
fn inspect_says_what_a_file_is() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    image(folder, "app.bin", "1.0.0");
    let json = |line: &str| {
        let output = firmware(folder, line);
        (
            output.status.code(),
            serde_json::from_slice::<Value>(&output.stdout).unwrap(),
        )
    };
    let (code, found) = json("inspect app.bin --json");
    assert_eq!(
        (code, &found["kind"], &found["sound"]),
        (Some(0), &"app".into(), &true.into())
    );
    assert_eq!(
        (&found["app"]["chip"], &found["app"]["version"]),
        (&"esp32s3".into(), &"1.0.0".into())
    );
    let said = done(folder, "inspect app.bin");
    assert!(
        said.contains("greenhouse 1.0.0 for ESP32-S3") && said.contains("nobody"),
        "{said}"
    );
    done(folder, "keygen --out k");
    done(folder, "sign app.bin --key k.key");
    assert_eq!(
        json("inspect app.bin --json").1["signed_by"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let mut damaged = std::fs::read(folder.join("app.bin")).unwrap();
    damaged[100] ^= 1;
    std::fs::write(folder.join("damaged.bin"), damaged).unwrap();
    let (code, found) = json("inspect damaged.bin --json");
    assert_eq!((code, &found["sound"]), (Some(1), &false.into()));
    assert!(
        found["problem"].as_str().unwrap().contains("checksum"),
        "{found}"
    );
    std::fs::write(folder.join("huge.csv"), "app0, app, ota_0, 0x10000, 3M\n").unwrap();
    let said = done(folder, "inspect huge.csv");
    assert!(said.contains("huge_app"), "{said}");
    // Settings of a server have no say here.
    std::fs::write(folder.join("espalier.toml"), "signup = \"maybe\"").unwrap();
    done(folder, "inspect app.bin");
}
