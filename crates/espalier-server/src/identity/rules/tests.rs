//! What rules must do, whatever is written in them.

use super::*;
use crate::identity::principal::{CallerInfo, Credential, Scopes};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

fn caller(account: AccountId, role: Role) -> Caller {
    Caller(Arc::new(CallerInfo {
        account,
        username: "ada".to_owned(),
        role,
        credential: Credential::Password,
        scopes: Scopes::ALL,
    }))
}

#[test]
fn the_shipped_document_and_the_rust_beside_it_agree_everywhere() {
    let document = Document::parse(&default_document()).unwrap();
    let compiled = RuleSet::compile_all(&document).unwrap();
    let (ada, bob) = (AccountId::mint(0, [1; 10]), AccountId::mint(0, [2; 10]));
    let shares = [
        None,
        Some(ShareRole::Viewer),
        Some(ShareRole::Member),
        Some(ShareRole::Admin),
    ];
    for role in [Role::Viewer, Role::Member, Role::Admin, Role::Owner] {
        for (owner, share) in [ada, bob].into_iter().flat_map(|o| shares.map(|s| (o, s))) {
            for (collection, action) in Collection::ALL
                .into_iter()
                .flat_map(|c| ACTIONS.map(|a| (c, a)))
            {
                let data = RuleData {
                    share,
                    ..RuleData::of(owner, "x", "n")
                };
                let who = caller(ada, role);
                assert_eq!(
                    RuleSet::shipped().allows(&who, collection, action, &data),
                    compiled.allows(&who, collection, action, &data),
                    "{role} {owner} {share:?} {collection:?} {action}"
                );
            }
        }
    }
}

#[test]
fn a_missing_rule_denies_even_the_owner() {
    let document = Document::parse(&json!({ "devices": { ".read": true } })).unwrap();
    let rules = RuleSet::compile(&document).unwrap();
    let ada = AccountId::mint(0, [1; 10]);
    let data = RuleData::of(ada, "x", "n");
    let who = caller(ada, Role::Owner);
    assert!(rules.allows(&who, Collection::Devices, Action::Read, &data));
    assert!(!rules.allows(&who, Collection::Devices, Action::Own, &data));
    assert!(!rules.allows(&who, Collection::Telemetry, Action::Read, &data));
}

#[test]
fn wrong_rules_are_refused_with_their_name_and_place() {
    let cases = [
        ("auth.is_admin ||", "column"),
        ("auth.is_admin || nobody == 1", "unknown variable `nobody`"),
        ("data.owner", "must be true or false"),
        ("data.nothing == 'x'", "nothing"),
        ("auth.is_admin ? true : 1", "must be true or false"),
        (
            "data.tags.all(a, data.tags.all(b, data.tags.all(c, true)))",
            "loops",
        ),
    ];
    for (text, wanted) in cases {
        let document = Document::parse(&json!({ "devices": { ".read": text } })).unwrap();
        let error = RuleSet::compile(&document).err().expect(text);
        assert!(error.message().contains("devices/.read"), "{error}");
        assert!(error.message().contains(wanted), "{error}");
    }
    for document in [
        json!([]),
        json!({ "x": {} }),
        json!({ "devices": { ".x": true } }),
        json!({ "devices": { ".read": 1 } }),
    ] {
        assert!(Document::parse(&document).is_err(), "{document}");
    }
}

#[test]
fn tags_can_be_asked_about() {
    let rule = "data.tags.exists(tag, tag == 'lab') && auth.role != 'viewer'";
    let auth = json!({ "role": "member" });
    assert_eq!(evaluate(rule, &auth, &json!({ "tags": ["lab"] })), Ok(true));
    assert_eq!(evaluate(rule, &auth, &json!({ "tags": [] })), Ok(false));
    assert!(evaluate(rule, &auth, &json!({})).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_compiler_panic(text in "[-a-z0-9 .()\\[\\]'\"|&!?:<>=+*/{},]{0,80}") {
        let _ = evaluate(&text, &json!({}), &json!({}));
    }
}

#[test]
fn deep_nesting_is_refused_and_not_a_crash() {
    let longest = [
        format!("{}true{}", "(".repeat(16), ")".repeat(16)),
        format!("{}true", "!".repeat(80)),
        format!("1{}", "+1".repeat(80)),
        format!("1{}", "==1".repeat(40)),
        format!("1{}", " in a".repeat(32)),
        format!("a{}", "[0]".repeat(80)),
        format!("{}true", "true && ".repeat(40)),
        format!("a{}", ".a".repeat(80)),
        format!("{}1{}", "[".repeat(16), "]".repeat(16)),
        format!("{}true{}", "true ? ".repeat(8), " : true".repeat(8)),
    ];
    for text in longest {
        assert_eq!(limits::check_text(&text), Ok(()), "{text}");
        let _ = evaluate(&text, &json!({}), &json!({}));
    }
    let rule = |text: String| Document::parse(&json!({ "devices": { ".read": text } }));
    let deep = rule(format!("1{} == 1", "+1".repeat(40))).unwrap();
    assert!(RuleSet::compile(&deep).is_err());
    let deepest = rule(format!("1{} == 1", "+1".repeat(17))).unwrap();
    let rules = RuleSet::compile(&deepest).unwrap();
    let ada = AccountId::mint(0, [1; 10]);
    let data = RuleData::of(ada, "x", "n");
    // On this thread, which has no more stack than the server's.
    rules.allows(
        &caller(ada, Role::Member),
        Collection::Devices,
        Action::Read,
        &data,
    );
    for text in [
        "(".repeat(1000),
        "!".repeat(1000),
        "[".repeat(1000),
        "-".repeat(999) + "1",
        "a.".repeat(499) + "a",
        "1+".repeat(499) + "1",
        "a?".repeat(300),
    ] {
        let _ = evaluate(&text, &json!({}), &json!({}));
    }
}

#[test]
fn a_decision_is_made_once_for_an_account_and_a_thing_as_it_is() {
    let document = json!({ "devices": { ".read": "data.name == 'n' || 'lab' in data.tags" } });
    let rules = RuleSet::compile(&Document::parse(&document).unwrap()).unwrap();
    let (ada, bob) = (AccountId::mint(0, [1; 10]), AccountId::mint(0, [2; 10]));
    let read = |who: &Caller, data: &RuleData<'_>| {
        rules.allows(who, Collection::Devices, Action::Read, data)
    };
    let (who, thing) = (caller(ada, Role::Member), RuleData::of(ada, "x", "n"));
    for _ in 0..3 {
        assert!(read(&who, &thing));
    }
    assert_eq!(rules.known(), 1);
    let renamed = RuleData::of(ada, "x", "m");
    assert!(!read(&who, &renamed));
    let tags = ["lab".into()];
    assert!(read(
        &who,
        &RuleData {
            tags: &tags,
            ..renamed
        }
    ));
    assert!(read(&caller(bob, Role::Member), &thing));
    assert_eq!(rules.known(), 4);
}
