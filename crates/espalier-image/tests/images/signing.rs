//! Manifests, key sets and key files.

use espalier_image::app;
use espalier_image::keys::{self, KeySet, PrivateKey, PublicKey, VerifyError};
use espalier_image::make::Make;
use espalier_image::manifest::{self, Manifest, MatchError};
use sha2::{Digest, Sha256};

fn key(n: u8) -> PrivateKey {
    PrivateKey::from_seed(&[n; 32])
}

fn made() -> Vec<u8> {
    Make::default().bytes()
}

#[test]
fn a_signed_manifest_belongs_to_its_image() {
    let bytes = made();
    let text = keys::sign(&manifest::of(&bytes).unwrap(), &key(1)).unwrap();
    let manifest = Manifest::parse(&text).unwrap();
    assert_eq!(manifest.to_string(), text);
    assert_eq!(
        manifest.verify(&[key(2).public(), key(1).public()]),
        Ok(key(1).public().id())
    );
    let digest = Sha256::digest(&bytes).into();
    let image = app::parse(&bytes).unwrap();
    let size = bytes.len() as u64;
    assert_eq!(manifest.matches(&image.head, &digest, size), Ok(()));
    assert_eq!(
        manifest.matches(&image.head, &[0; 32], size),
        Err(MatchError::Digest)
    );
    assert!(matches!(
        manifest.matches(&image.head, &digest, 1),
        Err(MatchError::Size { .. })
    ));
    let other = Make {
        version: "2",
        ..Make::default()
    }
    .bytes();
    let other = app::parse(&other).unwrap();
    let differs = MatchError::Differs { what: "version" };
    assert_eq!(manifest.matches_head(&other.head), Err(differs));
}

#[test]
fn every_signature_is_looked_at() {
    let unsigned = manifest::of(&made()).unwrap();
    let verify = |text: &str, keys: &[PublicKey]| Manifest::parse(text).unwrap().verify(keys);
    assert_eq!(
        verify(&unsigned, &[key(1).public()]),
        Err(VerifyError::Unsigned)
    );
    let one = keys::sign(&unsigned, &key(1)).unwrap();
    let two = keys::sign(&one, &key(2)).unwrap();
    let ids = [key(1).public().id(), key(2).public().id()];
    assert_eq!(verify(&two, &[key(2).public()]), Ok(ids[1]));
    let stranger = Err(VerifyError::UnknownKey { key: ids[0] });
    assert_eq!(verify(&two, &[key(3).public()]), stranger);
    // The same key again changes nothing: Ed25519 is deterministic.
    assert_eq!(keys::sign(&two, &key(1)).unwrap(), two);
    let changed = two.replace("version:1.0.0", "version:1.0.1");
    let bad = Err(VerifyError::BadSignature { key: ids[0] });
    assert_eq!(verify(&changed, &[key(1).public()]), bad);
    // Another key's signature under a trusted id does not count.
    let forged = keys::sign(&unsigned, &key(9)).unwrap();
    let forged = forged.replace(&key(9).public().id().to_string(), &ids[0].to_string());
    assert_eq!(verify(&forged, &[key(1).public()]), bad);
    let full = (3..=4).fold(two, |text, n| keys::sign(&text, &key(n)).unwrap());
    assert!(keys::sign(&full, &key(5)).is_err());
}

#[test]
fn a_project_may_be_called_like_a_line() {
    let make = Make {
        project: "signature:00",
        version: "key:x",
        ..Make::default()
    };
    let text = keys::sign(&manifest::of(&make.bytes()).unwrap(), &key(1)).unwrap();
    let manifest = Manifest::parse(&text).unwrap();
    assert_eq!(manifest.project, "signature:00");
    assert!(manifest.verify(&[key(1).public()]).is_ok());
}

#[test]
fn a_manifest_has_one_spelling() {
    let text = keys::sign(&manifest::of(&made()).unwrap(), &key(1)).unwrap();
    assert!(Manifest::parse(&text).is_ok());
    let long = "x".repeat(65);
    let wrong = [
        text.trim_end().to_owned(),
        text.replace('\n', "\r\n"),
        format!("{text}\n"),
        format!("\u{feff}{text}"),
        text.replace("size:", "size:0"),
        text.replace("chip:esp32c3", "chip:esp33"),
        text.replace("-v1", "-v2"),
        text.replace("project:made\n", ""),
        text.replace("project:made\n", "project:made\nproject:made\n"),
        text.replace("made", &long),
        text.replace("made", "m\u{e4}de"),
        text.replace("made", "ma\tde"),
        format!("{text}{}\n", text.lines().last().unwrap()),
        format!("{text}{}", "x".repeat(1024)),
    ];
    for wrong in wrong {
        assert!(Manifest::parse(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn key_files_read_back() {
    let private = key(7);
    assert_eq!(
        PrivateKey::from_file(&private.to_file()).unwrap().public(),
        private.public()
    );
    let public = private.public();
    assert_eq!(PublicKey::from_file(&public.to_file()), Ok(public));
    assert!(PublicKey::from_file(&private.to_file()).is_err());
    assert!(PrivateKey::from_file(&public.to_file()).is_err());
    assert!(PublicKey::from_file(&format!("{}x\n", public.to_file())).is_err());
    assert!(!format!("{private:?}").contains(&private.to_file()[30..40]));
    assert_eq!(PublicKey::from_base64(&public.to_string()), Some(public));
    // The neutral element is a point, but everybody can sign for it.
    let mut weak = [0; 32];
    weak[0] = 1;
    assert_eq!(PublicKey::from_bytes(&weak), None);
}

#[test]
fn key_sets_rotate() {
    let set = keys::key_set(3, &[key(2).public(), key(3).public()]).unwrap();
    let signed = keys::sign(&set, &key(1)).unwrap();
    let set = KeySet::parse(&signed).unwrap();
    assert_eq!(set.to_string(), signed);
    let trusted = [key(1).public()];
    assert_eq!(set.verify(&trusted, 2), Ok(key(1).public().id()));
    let old = VerifyError::OldSerial { found: 3, known: 3 };
    assert_eq!(set.verify(&trusted, 3), Err(old));
    // A key cannot vouch for itself.
    assert!(set.verify(&[key(2).public()], 0).is_err());
    let next = keys::sign(&keys::key_set(4, &[key(4).public()]).unwrap(), &key(2)).unwrap();
    assert!(
        KeySet::parse(&next)
            .unwrap()
            .verify(&set.keys, set.serial)
            .is_ok()
    );
    assert!(keys::key_set(1, &[]).is_err());
    assert!(keys::key_set(1, &[key(1).public(), key(1).public()]).is_err());
    let eight: Vec<_> = (1..=8).map(|n| key(n).public()).collect();
    let nine: Vec<_> = (1..=9).map(|n| key(n).public()).collect();
    assert!(keys::key_set(1, &eight).is_ok() && keys::key_set(1, &nine).is_err());
    let full = (1..=4).fold(keys::key_set(u32::MAX, &eight).unwrap(), |text, n| {
        keys::sign(&text, &key(n)).unwrap()
    });
    assert!(full.len() <= keys::MAX_KEY_SET);
}

proptest::proptest! {
    #[test]
    fn what_is_read_is_written_the_same(at: proptest::sample::Index, piece in "[a-z0-9:\n=-]{0,8}") {
        let text = keys::sign(&manifest::of(&made()).unwrap(), &key(1)).unwrap();
        let at = at.index(text.len());
        let changed = format!("{}{piece}{}", &text[..at], text.get(at + piece.len()..).unwrap_or_default());
        if let Ok(manifest) = Manifest::parse(&changed) {
            proptest::prop_assert_eq!(manifest.to_string(), &*changed);
            proptest::prop_assert!(changed == text || manifest.verify(&[key(1).public()]).is_err());
        }
        let _ = KeySet::parse(&changed);
    }
}
