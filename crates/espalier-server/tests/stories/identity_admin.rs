//! What admins do: accounts, invitations, access rules, the audit log, settings.

use espalier_model::Role;
use espalier_server::identity::{self, Revoked};
use espalier_testkit::{Engine, PASSWORD, TestApp, story};
use serde_json::{Value, json};

story!(
    admins_list_accounts_without_secrets_and_nobody_else_does,
    |app| async move {
        let admin = app.person_with("root", Role::Admin).await;
        let ada = app.person("ada_b").await;
        app.person("bob").await;
        let page = admin.client.get("/admin/users?limit=2").await;
        let list = page.expect(200);
        assert_eq!(
            (list["total"].as_i64(), list["pages"].as_i64()),
            (Some(3), Some(2))
        );
        assert_eq!(list["data"].as_array().map(Vec::len), Some(2));
        assert!(!page.text().contains("argon2") && !page.text().contains("password"));
        let found = admin
            .client
            .get("/admin/users?search=ADA_")
            .await
            .expect(200);
        assert_eq!(
            found["total"], 1,
            "an underscore is not a wildcard and case does not matter"
        );
        assert_eq!(found["data"][0]["username"], "ada_b");
        ada.client.get("/admin/users").await.expect(403);
        app.anonymous().get("/admin/users").await.expect(401);
        admin.client.get("/admin/users?page=0").await.expect(422);
        admin.client.get("/admin/users/not-an-id").await.expect(404);
    }
);

story!(
    disabling_an_account_ends_its_sessions_at_once,
    |app| async move {
        let admin = app.person_with("root", Role::Admin).await;
        let ada = app.person("ada").await;
        ada.client.get("/me").await.expect(200);
        let mut heard = app.app.identity.revocations();
        let path = format!("/admin/users/{}", ada.account);
        admin
            .client
            .patch(&path, json!({ "is_active": false }))
            .await
            .expect(200);
        assert_eq!(heard.recv().await, Ok(Revoked::Account(ada.account)));
        ada.client.get("/me").await.expect(401);
        let login = json!({ "email": "ada", "password": PASSWORD });
        let problem = app
            .anonymous()
            .post("/login", login.clone())
            .await
            .expect(403);
        assert_eq!(problem["code"], "account_disabled");
        admin
            .client
            .patch(&path, json!({ "is_active": true }))
            .await
            .expect(200);
        ada.client.get("/me").await.expect(401);
        app.anonymous().post("/login", login).await.expect(200);
    }
);

story!(a_new_role_holds_at_once, |app| async move {
    let owner = app.person_with("root", Role::Owner).await;
    let ada = app.person("ada").await;
    ada.client.get("/admin/users").await.expect(403);
    let path = format!("/admin/users/{}", ada.account);
    owner
        .client
        .patch(&path, json!({ "role": "admin" }))
        .await
        .expect(200);
    ada.client.get("/admin/users").await.expect(200);
    owner
        .client
        .patch(&path, json!({ "role": "viewer" }))
        .await
        .expect(200);
    ada.client.get("/admin/users").await.expect(403);
    owner
        .client
        .patch(&path, json!({ "role": "king" }))
        .await
        .expect(422);
});

story!(
    nobody_removes_the_last_owner_or_oneself_and_admins_leave_owners_alone,
    |app| async move {
        let owner = app.person_with("owner", Role::Owner).await;
        let admin = app.person_with("root", Role::Admin).await;
        let own = format!("/admin/users/{}", owner.account);
        for body in [json!({ "role": "member" }), json!({ "is_active": false })] {
            admin.client.patch(&own, body.clone()).await.expect(403);
            owner.client.patch(&own, body).await.expect(409);
        }
        admin.client.delete(&own).await.expect(403);
        owner.client.delete(&own).await.expect(409);
        owner.client.delete("/me").await.expect(409);
        let own = format!("/admin/users/{}", admin.account);
        admin
            .client
            .patch(&own, json!({ "role": "owner" }))
            .await
            .expect(403);
        owner.client.delete(&own).await.expect(200);
        admin.client.get("/me").await.expect(401);
    }
);

story!(
    a_created_account_gets_its_password_by_a_link_that_works_once,
    |app| async move {
        let admin = app.person_with("root", Role::Admin).await;
        let body = json!({ "email": "ada@example.com", "username": "ada", "full_name": "Ada", "role": "viewer" });
        let made = admin
            .client
            .post("/admin/users", body.clone())
            .await
            .expect(201);
        assert_eq!(
            (&made["role"], &made["full_name"]),
            (&json!("viewer"), &json!("Ada"))
        );
        admin.client.post("/admin/users", body).await.expect(400);
        let login = json!({ "email": "ada", "password": PASSWORD });
        app.anonymous()
            .post("/login", login.clone())
            .await
            .expect(400);
        let (_, token) = made["link"]
            .as_str()
            .and_then(|l| l.split_once("token="))
            .expect("a link");
        let path = format!("/setup?token={token}");
        assert!(
            app.anonymous()
                .get(&path)
                .await
                .text()
                .contains("<strong>ada</strong>")
        );
        let weak = json!({ "token": token, "password": "weak" });
        app.anonymous().post("/setup", weak).await.expect(422);
        let choose = json!({ "token": token, "password": PASSWORD });
        app.anonymous()
            .post("/setup", choose.clone())
            .await
            .expect(200);
        app.anonymous().post("/setup", choose).await.expect(404);
        app.anonymous().post("/login", login).await.expect(200);
        let path = format!(
            "/admin/users/{}/reset-link",
            made["id"].as_str().expect("an id")
        );
        assert!(admin.client.post(&path, Value::Null).await.expect(200)["link"].is_string());
    }
);

#[tokio::test]
async fn an_invitation_makes_one_account_of_its_role_and_address() {
    let app = TestApp::with(Engine::Sqlite, |c| {
        c.signup = espalier_server::config::Signup::Invite
    })
    .await;
    let admin = app.person_with("root", Role::Admin).await;
    let wanted = json!({ "email": "Ada@example.com", "role": "viewer", "expires_in_hours": 1 });
    let invite = admin
        .client
        .post("/admin/invites", wanted.clone())
        .await
        .expect(201);
    let code = invite["code"].as_str().expect("a code");
    let signup = |email: &str, code: &str| json!({ "email": email, "username": "ada", "password": PASSWORD, "invite": code });
    let sign_up =
        async |email: &str, code: &str| app.anonymous().post("/signup", signup(email, code)).await;
    sign_up("ada@example.com", "esp_invite_wrong")
        .await
        .expect(403);
    assert_eq!(
        sign_up("bob@example.com", code).await.expect(403)["code"],
        "invite_for_another"
    );
    let made = sign_up("ada@example.com", code).await.expect(200);
    assert_eq!(made["user"]["role"], "viewer");
    assert_eq!(
        sign_up("ada@example.com", code).await.expect(403)["code"],
        "invite_not_good"
    );
    let listed = admin.client.get("/admin/invites").await;
    assert!(listed.expect(200)[0]["used_at"].is_string());
    assert!(!listed.text().contains(code));
    let late = admin
        .client
        .post("/admin/invites", wanted)
        .await
        .expect(201);
    app.clock.advance(3_600_000);
    sign_up("ada@example.com", late["code"].as_str().expect("a code"))
        .await
        .expect(403);
    let admin = app.anonymous().bearer(
        &identity::open_session(&app.app, admin.account)
            .await
            .expect("a session"),
    );
    let id = late["id"].as_str().expect("an id");
    admin
        .delete(&format!("/admin/invites/{id}"))
        .await
        .expect(200);
    admin
        .delete(&format!("/admin/invites/{id}"))
        .await
        .expect(404);
    admin
        .post("/admin/invites", json!({ "role": "owner" }))
        .await
        .expect(403);
}

story!(
    every_management_action_is_in_the_audit_log,
    |app| async move {
        let admin = app.person_with("root", Role::Admin).await;
        let ada = app.person("ada").await;
        let path = format!("/admin/users/{}", ada.account);
        admin
            .client
            .patch(&path, json!({ "full_name": "Ada" }))
            .await
            .expect(200);
        app.clock.advance(1);
        admin.client.delete(&path).await.expect(200);
        let log = admin.client.get("/admin/audit").await.expect(200);
        assert_eq!(log["data"][0]["action"], "user.delete");
        assert_eq!(log["data"][0]["username"], "root");
        assert_eq!(log["data"][0]["detail"]["username"], "ada");
        let filtered = format!(
            "/admin/audit?action=user.update&target={}&account={}",
            ada.account, admin.account
        );
        let log = admin.client.get(&filtered).await.expect(200);
        assert_eq!(log["total"], 1);
        ada.client.get("/admin/audit").await.expect(401);
    }
);

story!(
    saved_rules_hold_at_once_and_after_a_restart,
    |app| async move {
        let mut app = app;
        let owner = app.person_with("root", Role::Owner).await;
        let ada = app.person("ada").await;
        let (device, _) = ada.device("balcony").await;
        let path = format!("/devices/{device}");
        let shipped = owner.client.get("/admin/security-rules").await.expect(200);
        assert_eq!(
            (&shipped["revision"], &shipped["is_default"]),
            (&json!(0), &json!(true))
        );
        let who = app.app.devices.resolve(&device).expect("a device");
        let may = |app: &TestApp, caller: &identity::Caller| {
            let data = identity::RuleData::of(who.owner, &device, "balcony");
            identity::allowed(
                &app.app,
                caller,
                identity::Collection::Devices,
                espalier_model::Action::Read,
                &data,
            )
        };
        let caller = match identity::principal_of(&app.app, &ada.token)
            .await
            .expect("an answer")
        {
            identity::Identified::Known(identity::Principal::Account(caller)) => caller,
            other => panic!("{other:?}"),
        };
        assert!(may(&app, &caller));
        let closed = json!({ "rules": { "devices": { ".read": "auth.role == 'owner'", ".write": false } }, "revision": 0 });
        let saved = owner
            .client
            .post("/admin/security-rules", closed.clone())
            .await
            .expect(200);
        assert_eq!(
            (&saved["revision"], &saved["is_default"]),
            (&json!(1), &json!(false))
        );
        assert!(!may(&app, &caller));
        ada.client.get(&path).await.expect(404);
        owner
            .client
            .post("/admin/security-rules", closed)
            .await
            .expect(409);
        app.restart().await;
        assert!(!may(&app, &caller));
        let owner = app.anonymous().bearer(&owner.token);
        let back = json!({ "rules": shipped["rules"] });
        let saved = owner.post("/admin/security-rules", back).await.expect(200);
        assert_eq!(
            (&saved["revision"], &saved["is_default"]),
            (&json!(2), &json!(true))
        );
        assert_eq!(saved["history"].as_array().map(Vec::len), Some(2));
        assert!(may(&app, &caller));
    }
);

story!(rules_are_validated_and_can_be_tried, |app| async move {
    let admin = app.person_with("root", Role::Admin).await;
    let wrong = json!({ "rules": { "devices": { ".read": "auth.is_admin && whoever" } } });
    let problem = admin
        .client
        .post("/admin/security-rules", wrong)
        .await
        .expect(422);
    let text = problem["message"].as_str().expect("a sentence");
    assert!(
        text.contains("devices/.read") && text.contains("whoever"),
        "{text}"
    );
    let escape = json!({ "expression": "().__class__.__bases__" });
    let tried = admin
        .client
        .post("/admin/security-rules/test", escape)
        .await
        .expect(200);
    assert_eq!(tried["allowed"], false);
    assert!(tried["error"].is_string());
    let fine = json!({ "expression": "data.owner == auth.uid", "auth": { "uid": "a" }, "data": { "owner": "a" } });
    let tried = admin
        .client
        .post("/admin/security-rules/test", fine)
        .await
        .expect(200);
    assert_eq!(tried, json!({ "allowed": true, "error": null }));
    let member = app.person("ada").await;
    member.client.get("/admin/security-rules").await.expect(403);
});

story!(
    apps_read_names_and_switches_before_signing_in,
    |app| async move {
        let admin = app.person_with("root", Role::Admin).await;
        let config = app.anonymous().get("/app/config").await.expect(200);
        assert_eq!(config["branding"]["app_display_name"], "Espalier");
        assert_eq!(config["mobile_app"]["feature_flags"]["webhooks"], false);
        assert!(config.get("updated_at").is_none());
        let settings = json!({ "branding": { "app_display_name": "Greenhouse" }, "mobile_app": { "maintenance_mode": true } });
        admin
            .client
            .put("/admin/platform-settings", settings)
            .await
            .expect(200);
        let config = app.anonymous().get("/app/config").await.expect(200);
        assert_eq!(config["branding"]["app_display_name"], "Greenhouse");
        assert_eq!(config["mobile_app"]["maintenance_mode"], true);
        assert!(config["updated_at"].is_string());
        admin
            .client
            .put("/admin/platform-settings", json!({ "colour": 1 }))
            .await
            .expect(422);
    }
);

story!(
    basic_authentication_opens_admin_paths_only_and_guessing_is_slowed,
    |app| async move {
        use base64::Engine as _;
        app.person_with("root", Role::Admin).await;
        let basic = |user: &str, password: &str| {
            let text =
                base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            app.anonymous()
                .header("authorization", &format!("Basic {text}"))
        };
        basic("root", PASSWORD)
            .get("/admin/users")
            .await
            .expect(200);
        basic("root", PASSWORD).get("/me").await.expect(401);
        for _ in 0..5 {
            basic("root", "Wrong-horse-1")
                .get("/admin/users")
                .await
                .expect(401);
        }
        basic("root", "Wrong-horse-2")
            .get("/admin/users")
            .await
            .expect(429);
        let evil = basic("root", PASSWORD)
            .header("origin", "https://evil.example")
            .header("host", "here");
        evil.post("/admin/invites", json!({})).await.expect(403);
        let ada = app.person("ada").await;
        let (device, token) = ada.device("balcony").await;
        let (other, _) = ada.device("attic").await;
        let as_device = async |user: &str| app_principal(&app, user, &token).await;
        assert!(as_device(&device).await);
        assert!(!as_device(&other).await);
    }
);

/// Whether Basic with a device's name and token makes a request come from a device.
async fn app_principal(app: &TestApp, user: &str, token: &str) -> bool {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{token}"));
    let client = app
        .anonymous()
        .header("authorization", &format!("Basic {text}"));
    // A device may not be here (403); somebody unknown is asked to sign in (401).
    client.get("/me").await.status == 403
}
