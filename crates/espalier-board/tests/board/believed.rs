//! Who is believed and who is not: handshakes over loopback with a server that shows what a test tells it to.

use std::sync::Arc;

use embedded_io_adapters::tokio_1::FromTokio;
use embedded_tls::pki::CertVerifier;
use embedded_tls::{
    Aes128GcmSha256, Certificate, CryptoProvider, CryptoRngCore, TlsClock, TlsConfig,
    TlsConnection, TlsContext, TlsError, TlsVerifier,
};
use espalier_board::tls::{Anchor, Now, Refusal, Verifier, anchors};
use rand_core::OsRng;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ED25519,
};
use rustls::ServerConfig;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::certificates::{
    Authority, HOST, NOW, authority, between_params, server, server_params, signed,
};

struct Provider<V>(V);

impl<V: TlsVerifier<Aes128GcmSha256>> CryptoProvider for Provider<V> {
    type CipherSuite = Aes128GcmSha256;
    type Signature = &'static [u8];

    fn rng(&mut self) -> impl CryptoRngCore {
        OsRng
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Aes128GcmSha256>, TlsError> {
        Ok(&mut self.0)
    }
}

/// One handshake with a server; returns what the library says and the verifier.
async fn handshake<V: TlsVerifier<Aes128GcmSha256>>(
    config: Arc<ServerConfig>,
    verifier: V,
) -> (Result<(), TlsError>, V) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // A client that does not believe the server breaks off: that is its right.
        let _ = TlsAcceptor::from(config).accept(stream).await;
    });
    let stream = FromTokio::new(TcpStream::connect(address).await.unwrap());
    let (mut incoming, mut outgoing) = (vec![0; 16_640], vec![0; 4096]);
    let mut tls = TlsConnection::new(stream, &mut incoming, &mut outgoing);
    let config = TlsConfig::new().with_server_name(HOST);
    let mut provider = Provider(verifier);
    let result = tls.open(TlsContext::new(&config, &mut provider)).await;
    drop(tls);
    accepting.await.unwrap();
    (result, provider.0)
}

/// What our verifier makes of a server.
async fn verdict(
    config: Arc<ServerConfig>,
    anchor: Anchor<'_>,
    host: &str,
    now: Now,
) -> Result<(), Refusal> {
    of_several(config, &[anchor], host, now).await
}

async fn of_several(
    config: Arc<ServerConfig>,
    anchors: &[Anchor<'_>],
    host: &str,
    now: Now,
) -> Result<(), Refusal> {
    let (result, verifier) = handshake(config, Verifier::new(anchors, host, now)).await;
    let verdict = verifier.verdict();
    assert_eq!(result.is_ok(), verdict.is_ok(), "{result:?} {verdict:?}");
    verdict
}

/// The same, with the authority pinned and everything else as it should be.
async fn judged(shown: &Authority, ca: &Authority) -> Result<(), Refusal> {
    let config = server(&[shown.der()], shown.key());
    verdict(config, Anchor::Certificate(ca.der()), HOST, Now::Known(NOW)).await
}

#[tokio::test]
async fn the_server_of_the_pinned_authority_is_believed() {
    let ca = authority("house");
    let good = signed(server_params(), &ca);
    assert_eq!(judged(&good, &ca).await, Ok(()));
    // An address is a name too, and the authority itself may follow.
    let config = server(&[good.der(), ca.der()], good.key());
    let anchor = Anchor::Certificate(ca.der());
    assert_eq!(
        verdict(config, anchor, "127.0.0.1", Now::Known(NOW)).await,
        Ok(())
    );
}

#[tokio::test]
async fn what_a_certificate_of_the_authority_has_signed_is_not_believed() {
    let ca = authority("house");
    let leaf = signed(server_params(), &ca);
    let rogue = signed(server_params(), &leaf);
    let pinned = Anchor::Certificate(ca.der());
    let chain = || server(&[rogue.der(), leaf.der()], rogue.key());
    assert_eq!(
        verdict(chain(), pinned, HOST, Now::Known(NOW)).await,
        Err(Refusal::NotAnIssuer)
    );
    assert_eq!(judged(&rogue, &ca).await, Err(Refusal::WrongIssuer));
    assert_eq!(judged(&rogue, &leaf).await, Err(Refusal::NotAnAuthority));

    // One that claims the name of the authority, too.
    let mut liar = server_params();
    liar.distinguished_name = ca_name();
    liar.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    liar.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let liar = Authority::self_signed(liar, KeyPair::generate().unwrap()).unwrap();
    let forged = signed(server_params(), &liar);
    assert_eq!(judged(&forged, &ca).await, Err(Refusal::WrongIssuer));

    // And this is why the verifier is ours: the one that comes with the library believes it.
    let theirs = CertVerifier::<Aes128GcmSha256, Noon, 4096>::new(Certificate::X509(&ca.der()[..]));
    let (result, _) = handshake(chain(), theirs).await;
    assert!(
        result.is_ok(),
        "{result:?}: `embedded-tls` has learned it; ours may be smaller now"
    );
}

/// What is made of a chain whose first key signs, when this authority is pinned.
async fn judged_chain(chain: &[&Authority], ca: &Authority) -> Result<(), Refusal> {
    let shown: Vec<_> = chain.iter().map(|one| one.der()).collect();
    let config = server(&shown, chain[0].key());
    verdict(config, Anchor::Certificate(ca.der()), HOST, Now::Known(NOW)).await
}

#[tokio::test]
async fn authorities_in_between_lead_to_the_pinned_one() {
    let ca = authority("house");
    let upper = signed(between_params("upper", 1), &ca);
    let lower = signed(between_params("lower", 0), &upper);
    let of_upper = signed(server_params(), &upper);
    let of_lower = signed(server_params(), &lower);
    let other = authority("other");
    for chain in [
        &[&of_upper, &upper][..],
        &[&of_upper, &upper, &ca],
        &[&of_lower, &lower, &upper],
        &[&of_lower, &lower, &upper, &ca, &other],
    ] {
        assert_eq!(judged_chain(chain, &ca).await, Ok(()));
    }
    // Any of them can be pinned.
    assert_eq!(judged_chain(&[&of_lower], &lower).await, Ok(()));
    let whole = [&of_lower, &lower, &upper];
    assert_eq!(judged_chain(&whole, &upper).await, Ok(()));
    // Nothing may be missing, and they are shown in their order.
    for chain in [
        &[&of_lower][..],
        &[&of_lower, &lower],
        &[&of_lower, &upper, &lower],
        &[&of_lower, &ca],
    ] {
        let said = judged_chain(chain, &ca).await;
        assert_eq!(said, Err(Refusal::WrongIssuer));
    }
    let said = judged_chain(&whole, &other).await;
    assert_eq!(said, Err(Refusal::WrongIssuer));
    // Hosts and keys count as without them.
    let config = server(&[of_upper.der(), upper.der()], of_upper.key());
    let pinned = Anchor::Certificate(ca.der());
    let said = verdict(config, pinned, "farm.example", Now::Known(NOW)).await;
    assert_eq!(said, Err(Refusal::WrongName));
    let config = server(&[of_upper.der(), upper.der()], upper.key());
    let said = verdict(config, pinned, HOST, Now::Known(NOW)).await;
    assert_eq!(said, Err(Refusal::BadSignature));
}

#[tokio::test]
async fn paths_are_no_longer_than_their_authorities_allow() {
    let ca = authority("house");
    let last = signed(between_params("last", 0), &ca);
    let beyond = signed(between_params("beyond", 0), &last);
    let server = signed(server_params(), &beyond);
    let said = judged_chain(&[&server, &beyond, &last], &ca).await;
    assert_eq!(said, Err(Refusal::PathTooLong));

    let mut params = between_params("narrow", 0);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    let narrow = Authority::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let below = signed(between_params("below", 0), &narrow);
    let server = signed(server_params(), &below);
    for chain in [&[&server, &below][..], &[&server, &below, &narrow]] {
        let said = judged_chain(chain, &narrow).await;
        assert_eq!(said, Err(Refusal::PathTooLong));
    }
    // The server itself does not count.
    let direct = signed(server_params(), &narrow);
    assert_eq!(judged_chain(&[&direct], &narrow).await, Ok(()));

    // And there is an end to it, whatever they allow.
    let mut chain = vec![signed(between_params("0", 9), &ca)];
    for name in ["1", "2"] {
        chain.push(signed(between_params(name, 8), chain.last().unwrap()));
    }
    chain.push(signed(server_params(), chain.last().unwrap()));
    let chain: Vec<_> = chain.iter().rev().collect();
    let said = judged_chain(&chain, &ca).await;
    assert_eq!(said, Err(Refusal::PathTooLong));
}

#[tokio::test]
async fn authorities_in_between_that_are_none_are_not_believed() {
    let ca = authority("house");
    let judge = async |change: fn(&mut CertificateParams)| {
        let mut params = between_params("between", 0);
        change(&mut params);
        let between = signed(params, &ca);
        let server = signed(server_params(), &between);
        judged_chain(&[&server, &between], &ca).await
    };
    assert_eq!(judge(|_| {}).await, Ok(()));
    for (change, wanted) in [
        (
            (|p| p.is_ca = IsCa::ExplicitNoCa) as fn(&mut CertificateParams),
            Refusal::NotAnIssuer,
        ),
        (|p| p.is_ca = IsCa::NoCa, Refusal::NotAnIssuer),
        (
            |p| p.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign],
            Refusal::NotAnIssuer,
        ),
        (
            |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            Refusal::NotAnIssuer,
        ),
        (
            |p| p.not_after = rcgen::date_time_ymd(2026, 5, 31),
            Refusal::Expired,
        ),
        (
            |p| p.not_before = rcgen::date_time_ymd(2026, 6, 2),
            Refusal::NotYetValid,
        ),
        (
            |p| {
                p.name_constraints = Some(rcgen::NameConstraints {
                    permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example".into())],
                    excluded_subtrees: vec![],
                });
            },
            Refusal::BadCertificate,
        ),
    ] {
        assert_eq!(judge(change).await, Err(wanted));
    }

    // One that only claims to be signed by the pinned authority.
    let false_house = authority("house");
    let between = signed(between_params("between", 0), &false_house);
    let server = signed(server_params(), &between);
    for chain in [&[&server, &between][..], &[&server, &between, &false_house]] {
        let said = judged_chain(chain, &ca).await;
        assert_eq!(said, Err(Refusal::WrongIssuer));
    }
    // One that an honest one did not sign, though it has its name.
    let honest = signed(between_params("between", 0), &ca);
    let said = judged_chain(&[&server, &honest], &ca).await;
    assert_eq!(said, Err(Refusal::WrongIssuer));
    // An authority is not a server, whoever leads to it.
    let mut params = server_params();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let proud = signed(params, &honest);
    let said = judged_chain(&[&proud, &honest], &ca).await;
    assert_eq!(said, Err(Refusal::NotForServers));
}

#[tokio::test]
async fn public_authorities_have_larger_keys_than_their_servers() {
    let large = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let mut params = between_params("root", 1);
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    let root = Authority::self_signed(params, large()).unwrap();
    let between = Authority::signed_by(between_params("between", 0), large(), &root).unwrap();
    let leaf = signed(server_params(), &between);
    assert_eq!(judged_chain(&[&leaf, &between], &root).await, Ok(()));
    assert_eq!(judged_chain(&[&leaf], &between).await, Ok(()));
    let other = Authority::signed_by(between_params("between", 0), large(), &root).unwrap();
    let said = judged_chain(&[&leaf, &other], &root).await;
    assert_eq!(said, Err(Refusal::WrongIssuer));
    // A server signs the handshake with a key of the smaller kind.
    let heavy = Authority::signed_by(server_params(), large(), &between).unwrap();
    let said = judged_chain(&[&heavy, &between], &root).await;
    assert_eq!(said, Err(Refusal::Algorithm));
}

fn ca_name() -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    name.push(rcgen::DnType::CommonName, "house");
    name
}

struct Noon;

impl TlsClock for Noon {
    fn now() -> Option<u64> {
        Some(NOW)
    }
}

#[tokio::test]
async fn other_hosts_and_other_authorities_are_not_believed() {
    let (ca, other) = (authority("house"), authority("other"));
    let good = signed(server_params(), &ca);
    assert_eq!(judged(&good, &other).await, Err(Refusal::WrongIssuer));
    for host in ["espalier.example", "10.0.2.2", "test"] {
        let config = server(&[good.der()], good.key());
        let anchor = Anchor::Certificate(ca.der());
        let said = verdict(config, anchor, host, Now::Known(NOW)).await;
        assert_eq!(said, Err(Refusal::WrongName), "{host}");
    }
    // The common name is not looked at.
    let mut nameless = server_params();
    nameless.subject_alt_names.clear();
    nameless
        .distinguished_name
        .push(rcgen::DnType::CommonName, HOST);
    assert_eq!(
        judged(&signed(nameless, &ca), &ca).await,
        Err(Refusal::WrongName)
    );
}

#[tokio::test]
async fn dates_are_checked_with_and_without_a_clock() {
    const JANUARY_2026: u64 = 1_767_225_600;
    const JANUARY_2027: u64 = JANUARY_2026 + 365 * 86_400;
    let ca = authority("house");
    let good = signed(server_params(), &ca);
    for (now, wanted) in [
        (Now::Known(JANUARY_2026), Ok(())),
        (Now::Known(JANUARY_2026 - 1), Err(Refusal::NotYetValid)),
        (Now::Known(JANUARY_2027), Err(Refusal::Expired)),
        // Without the time, only what is certain counts: it is not earlier than the image was built.
        (Now::AtLeast(JANUARY_2026 - 86_400), Ok(())),
        (Now::AtLeast(NOW), Ok(())),
        (Now::AtLeast(JANUARY_2027), Err(Refusal::Expired)),
    ] {
        let config = server(&[good.der()], good.key());
        let said = verdict(config, Anchor::Certificate(ca.der()), HOST, now).await;
        assert_eq!(said, wanted, "{now:?}");
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_is_not_believed() {
    let ca = authority("house");
    let good = signed(server_params(), &ca);
    let config = server(&[good.der()], &KeyPair::generate().unwrap());
    let said = verdict(config, Anchor::Certificate(ca.der()), HOST, Now::Known(NOW)).await;
    assert_eq!(said, Err(Refusal::BadSignature));
}

#[tokio::test]
async fn certificates_for_other_uses_are_not_believed() {
    let ca = authority("house");
    let change = |change: fn(&mut CertificateParams)| {
        let mut params = server_params();
        change(&mut params);
        signed(params, &ca)
    };
    let client = change(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    assert_eq!(judged(&client, &ca).await, Err(Refusal::NotForServers));
    let encipher = change(|p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment]);
    assert_eq!(judged(&encipher, &ca).await, Err(Refusal::NotForServers));
    let authority_below = change(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(
        judged(&authority_below, &ca).await,
        Err(Refusal::NotForServers)
    );
    let critical = change(|p| {
        let mut unknown =
            rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
        unknown.set_criticality(true);
        p.custom_extensions = vec![unknown];
    });
    assert_eq!(judged(&critical, &ca).await, Err(Refusal::BadCertificate));
    let plain = change(|p| {
        p.key_usages.clear();
        p.extended_key_usages.clear();
    });
    assert_eq!(judged(&plain, &ca).await, Ok(()));
}

#[tokio::test]
async fn keys_and_signatures_of_other_kinds_are_not_believed() {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let ca = Authority::self_signed(params, key).unwrap();
    let good = signed(server_params(), &ca);
    assert_eq!(judged(&good, &ca).await, Err(Refusal::Algorithm));
}

#[tokio::test]
async fn a_certificate_or_a_key_can_be_pinned_itself() {
    let own = Authority::self_signed(server_params(), KeyPair::generate().unwrap()).unwrap();
    let other = Authority::self_signed(server_params(), KeyPair::generate().unwrap()).unwrap();
    assert_eq!(judged(&own, &own).await, Ok(()));
    assert_eq!(judged(&other, &own).await, Err(Refusal::NotAnAuthority));

    for (shown, wanted) in [(&own, Ok(())), (&other, Err(Refusal::WrongKey))] {
        let config = server(&[shown.der()], shown.key());
        let pin = Anchor::Key(pin_of(&own));
        assert_eq!(verdict(config, pin, HOST, Now::Known(NOW)).await, wanted);
    }
    let config = server(&[own.der()], own.key());
    let late = Now::Known(NOW + 365 * 86_400);
    assert_eq!(
        verdict(config, Anchor::Key(pin_of(&own)), HOST, late).await,
        Err(Refusal::Expired)
    );
}

/// The pin of a server: SHA-256 of the `SubjectPublicKeyInfo` of its certificate.
fn pin_of(shown: &Authority) -> [u8; 32] {
    // A P-256 key info is 26 bytes of algorithm and the 65 of the point.
    let header = [
        0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 3, 1, 7, 3, 0x42, 0,
    ];
    let info = Sha256::new()
        .chain_update(header)
        .chain_update(shown.key().public_key_raw());
    info.finalize().into()
}

#[tokio::test]
async fn a_pinned_key_outlives_its_certificate_and_has_a_successor() {
    let (ca, other) = (authority("house"), authority("other"));
    let first = signed(server_params(), &ca);
    let pins = [[9; 32], pin_of(&first)];
    let believed = anchors(&[], &pins);
    let now = Now::Known(NOW);
    // The certificate is renewed with the same key, by another authority, which shows itself and one above it.
    let key = KeyPair::try_from(first.key().serialize_der()).unwrap();
    let renewed = Authority::signed_by(server_params(), key, &other).unwrap();
    assert_ne!(first.der(), renewed.der());
    for chain in [
        &[first.der()][..],
        &[renewed.der()],
        &[renewed.der(), other.der(), ca.der()],
    ] {
        let config = server(chain, first.key());
        assert_eq!(of_several(config, &believed, HOST, now).await, Ok(()));
    }
    // Names and dates count as ever, and so does the key.
    let config = server(&[renewed.der()], first.key());
    let elsewhere = of_several(config, &believed, "farm.example", now).await;
    assert_eq!(elsewhere, Err(Refusal::WrongName));
    let config = server(&[renewed.der()], &KeyPair::generate().unwrap());
    let thief = of_several(config, &believed, HOST, now).await;
    assert_eq!(thief, Err(Refusal::BadSignature));
    let stranger = signed(server_params(), &ca);
    let config = server(&[stranger.der()], stranger.key());
    let said = of_several(config, &believed, HOST, now).await;
    assert_eq!(said, Err(Refusal::WrongKey));
}

#[tokio::test]
async fn each_anchor_is_enough_and_the_first_says_why_none_was() {
    let (ca, other) = (authority("house"), authority("other"));
    let of_house = signed(server_params(), &ca);
    let pinned = signed(server_params(), &other);
    let pins = [pin_of(&pinned)];
    let believed = anchors(ca.der(), &pins);
    let stranger = signed(server_params(), &other);
    for (shown, wanted) in [
        (&of_house, Ok(())),
        (&pinned, Ok(())),
        (&stranger, Err(Refusal::WrongIssuer)),
    ] {
        let config = server(&[shown.der()], shown.key());
        let said = of_several(config, &believed, HOST, Now::Known(NOW)).await;
        assert_eq!(said, wanted);
    }
    assert!(anchors(&[], &[]).is_empty());
}

#[tokio::test]
async fn an_anchor_that_is_no_certificate_believes_nobody() {
    let ca = authority("house");
    let good = signed(server_params(), &ca);
    let config = server(&[good.der()], good.key());
    let said = verdict(
        config,
        Anchor::Certificate(b"no certificate"),
        HOST,
        Now::Known(NOW),
    )
    .await;
    assert_eq!(said, Err(Refusal::BadAnchor));
    // A handshake in which no certificate was shown proves nothing, whatever the library says of it.
    let anchor = [Anchor::Certificate(ca.der())];
    assert_eq!(
        Verifier::new(&anchor, HOST, Now::Known(NOW)).verdict(),
        Err(Refusal::NoProof)
    );
}
