//! Signing up, in and out, and what people change about themselves.

use espalier_testkit::{Answer, Client, Engine, PASSWORD, TestApp, story};
use serde_json::{Value, json};

fn signup(name: &str) -> Value {
    json!({ "email": format!("{name}@example.com"), "username": name, "password": PASSWORD, "full_name": "Ada L." })
}

fn bearer(app: &TestApp, answer: &Value) -> Client {
    app.anonymous()
        .bearer(answer["access_token"].as_str().expect("a token"))
}

async fn login(app: &TestApp, name: &str, password: &str) -> Answer {
    app.anonymous()
        .post("/login", json!({ "email": name, "password": password }))
        .await
}

story!(
    signing_up_answers_as_existing_clients_expect,
    |app| async move {
        let answer = app
            .anonymous()
            .post("/signup", signup("Ada"))
            .await
            .expect(200);
        assert_eq!(answer["token_type"], "bearer");
        let user = &answer["user"];
        assert_eq!(user["email"], "ada@example.com");
        assert_eq!(user["username"], "ada");
        assert_eq!(user["full_name"], "Ada L.");
        assert_eq!(user["role"], "member");
        assert_eq!(user["is_active"], true);
        assert_eq!(user["created_at"], "2026-03-01T12:00:00.000Z");
        assert_eq!(
            user["notification_settings"],
            json!({ "enabled": true, "push": true, "email": false })
        );
        assert_eq!(user["integrations"], json!({}));
        assert!(user.get("password_hash").is_none());
        let me = bearer(&app, &answer).get("/me").await.expect(200);
        assert_eq!(me["id"], user["id"]);
    }
);

story!(names_are_taken_without_regard_to_case, |app| async move {
    app.anonymous()
        .post("/signup", signup("ada"))
        .await
        .expect(200);
    for (email, username) in [("ADA@example.com", "other"), ("other@example.com", "ADA")] {
        let body = json!({ "email": email, "username": username, "password": PASSWORD });
        let problem = app.anonymous().post("/signup", body).await.expect(400);
        assert_eq!(problem["detail"], "Email or username already registered");
    }
});

story!(wrong_fields_of_a_sign_up_are_named, |app| async move {
    let cases = [
        ("email", json!("not-an-address")),
        ("username", json!("a")),
        ("username", json!("victim@example.com")),
        ("password", json!("alllowercase1")),
        ("password", json!("Sh0rt")),
        ("full_name", json!("x".repeat(121))),
    ];
    for (field, value) in cases {
        let mut body = signup("ada");
        body[field] = value;
        let answer = app.anonymous().post("/signup", body).await;
        let problem = answer.expect(422);
        assert_eq!(problem["detail"][0]["loc"], json!(["body", field]));
        assert!(!answer.text().contains("alllowercase1"));
    }
});

story!(
    name_or_e_mail_and_password_sign_in_by_form_and_by_json,
    |app| async move {
        app.person("ada").await;
        for name in ["ada", "ADA@example.com"] {
            let form = format!("username={}&password={PASSWORD}", name.replace('@', "%40"));
            app.anonymous().form("/token", &form).await.expect(200);
            login(&app, name, PASSWORD).await.expect(200);
        }
        let wrong = app
            .anonymous()
            .form("/token", "username=ada&password=Wrong-horse-1")
            .await;
        assert_eq!(
            wrong.expect(400)["detail"],
            "Incorrect username or password"
        );
        let unknown = login(&app, "nobody", PASSWORD).await.expect(400);
        assert_eq!(unknown["detail"], "Incorrect username or password");
        app.anonymous()
            .form("/token", "username=ada")
            .await
            .expect(422);
        let product = json!({ "product_id": "ABCD1234", "password": "x" });
        let problem = app.anonymous().post("/login", product).await.expect(400);
        assert_eq!(problem["code"], "product_login_unavailable");
    }
);

story!(
    two_sign_ins_in_the_same_moment_both_work,
    |app| async move {
        app.person("ada").await;
        let (one, two) = tokio::join!(login(&app, "ada", PASSWORD), login(&app, "ada", PASSWORD));
        let (one, two) = (one.expect(200), two.expect(200));
        assert_ne!(one["access_token"], two["access_token"]);
        bearer(&app, &one).get("/me").await.expect(200);
        bearer(&app, &two).get("/me").await.expect(200);
    }
);

story!(
    guessing_a_password_becomes_slow_and_says_for_how_long,
    |app| async move {
        app.person("ada").await;
        for _ in 0..5 {
            login(&app, "ada", "Wrong-horse-1").await.expect(400);
        }
        let refused = login(&app, "ada", PASSWORD).await;
        refused.expect(429);
        assert_eq!(refused.headers["retry-after"], "1");
        app.clock.advance(1000);
        login(&app, "ada", PASSWORD).await.expect(200);
    }
);

story!(
    a_refresh_token_works_once_and_its_reuse_ends_the_session,
    |app| async move {
        app.person("ada").await;
        let first = login(&app, "ada", PASSWORD).await.expect(200);
        let refresh = |answer: &Value| {
            answer["refresh_token"]
                .as_str()
                .expect("a token")
                .to_owned()
        };
        let old = refresh(&first);
        let second = app
            .anonymous()
            .post(&format!("/refresh?refresh_token={old}"), Value::Null)
            .await
            .expect(200);
        bearer(&app, &first).get("/me").await.expect(401);
        bearer(&app, &second).get("/me").await.expect(200);
        let body = json!({ "refresh_token": refresh(&second) });
        let third = app.anonymous().post("/refresh", body).await.expect(200);
        let form = format!("refresh_token={}", refresh(&third));
        let fourth = app.anonymous().form("/refresh", &form).await.expect(200);
        bearer(&app, &fourth).get("/me").await.expect(200);
        app.anonymous()
            .post(&format!("/refresh?refresh_token={old}"), Value::Null)
            .await
            .expect(401);
        bearer(&app, &fourth).get("/me").await.expect(401);
        let body = json!({ "refresh_token": refresh(&fourth) });
        app.anonymous().post("/refresh", body).await.expect(401);
        app.anonymous()
            .post("/refresh", json!({ "refresh_token": "nonsense" }))
            .await
            .expect(401);
        app.anonymous()
            .post("/refresh", json!({}))
            .await
            .expect(422);
    }
);

story!(tokens_expire, |app| async move {
    app.person("ada").await;
    let signed_in = login(&app, "ada", PASSWORD).await.expect(200);
    let client = bearer(&app, &signed_in);
    client.get("/me").await.expect(200);
    app.clock.advance(30 * 60 * 1000);
    client.get("/me").await.expect(401);
    app.clock.advance(7 * 24 * 3_600_000);
    let body = json!({ "refresh_token": signed_in["refresh_token"] });
    app.anonymous().post("/refresh", body).await.expect(401);
});

story!(
    signing_out_ends_every_session_and_may_be_repeated,
    |app| async move {
        app.person("ada").await;
        let one = login(&app, "ada", PASSWORD).await.expect(200);
        let two = login(&app, "ada", PASSWORD).await.expect(200);
        let out = bearer(&app, &one)
            .post("/logout", Value::Null)
            .await
            .expect(200);
        assert_eq!(
            out["tokens_deleted"], 3,
            "the person's first session counts too"
        );
        assert_eq!(out["already_logged_out"], false);
        bearer(&app, &two).get("/me").await.expect(401);
        for client in [bearer(&app, &one), app.anonymous()] {
            let out = client.post("/logout", Value::Null).await.expect(200);
            assert_eq!(out["tokens_deleted"], 0);
            assert_eq!(out["already_logged_out"], true);
        }
    }
);

story!(
    a_changed_name_can_never_take_over_another_account,
    |app| async move {
        let ada = app.person("ada").await;
        app.person("bob").await;
        for body in [
            json!({ "username": "bob@example.com" }),
            json!({ "email": "bob" }),
        ] {
            ada.client.put("/me", body).await.expect(422);
        }
        for body in [
            json!({ "username": "BOB" }),
            json!({ "email": "Bob@Example.com" }),
        ] {
            ada.client.put("/me", body).await.expect(400);
        }
        let changed = ada
        .client
        .put("/me", json!({ "username": "Countess", "email": "Countess@example.com", "full_name": "Ada King" }))
        .await
        .expect(200);
        assert_eq!(changed["username"], "countess");
        assert_eq!(changed["email"], "countess@example.com");
        login(&app, "countess", PASSWORD).await.expect(200);
        login(&app, "ada", PASSWORD).await.expect(400);
        assert_eq!(
            ada.client.get("/me").await.expect(200)["full_name"],
            "Ada King"
        );
    }
);

story!(
    a_new_password_needs_the_old_one_and_ends_the_other_sessions,
    |app| async move {
        let ada = app.person("ada").await;
        let other = login(&app, "ada", PASSWORD).await.expect(200);
        let new = "Battery-staple-2";
        ada.client
            .put("/me", json!({ "password": new }))
            .await
            .expect(422);
        let wrong = json!({ "password": new, "current_password": "Wrong-horse-1" });
        ada.client.put("/me", wrong).await.expect(400);
        let right = json!({ "password": new, "current_password": PASSWORD });
        ada.client.put("/me", right).await.expect(200);
        ada.client.get("/me").await.expect(200);
        bearer(&app, &other).get("/me").await.expect(401);
        login(&app, "ada", PASSWORD).await.expect(400);
        login(&app, "ada", new).await.expect(200);
    }
);

story!(settings_are_checked_and_kept, |app| async move {
    let ada = app.person("ada").await;
    let body = json!({ "notification_settings": { "enabled": false, "push": true, "email": true }, "integrations": { "a": 1 } });
    let me = ada.client.put("/me", body.clone()).await.expect(200);
    assert_eq!(me["notification_settings"], body["notification_settings"]);
    assert_eq!(me["integrations"], body["integrations"]);
    for wrong in [
        json!({ "notification_settings": { "enabled": "perhaps" } }),
        json!({ "integrations": [1] }),
        json!({ "integrations": { "a": "x".repeat(20_000) } }),
    ] {
        ada.client.put("/me", wrong).await.expect(422);
    }
});

story!(a_deleted_account_leaves_nothing_behind, |app| async move {
    let ada = app.person("ada").await;
    ada.device("balcony").await;
    ada.client.delete("/me").await.expect(200);
    ada.client.get("/me").await.expect(401);
    login(&app, "ada", PASSWORD).await.expect(400);
    assert!(app.app.devices.all().is_empty());
    let left: i64 = app
        .app
        .db
        .read(|c| {
            c.query_one(
                "select (select count(*) from session) + (select count(*) from device) as n",
                &[],
            )?
            .get("n")
        })
        .await
        .map_err(|e: espalier_db::Error| e)
        .expect("a count");
    assert_eq!(left, 0);
    app.person("ada").await;
});

#[tokio::test]
async fn nobody_signs_up_when_sign_up_is_closed_or_by_invitation() {
    use espalier_server::config::Signup;
    for (mode, code) in [
        (Signup::Closed, "signup_closed"),
        (Signup::Invite, "invite_needed"),
    ] {
        let app = TestApp::with(Engine::Sqlite, |config| config.signup = mode).await;
        let problem = app
            .anonymous()
            .post("/signup", signup("ada"))
            .await
            .expect(403);
        assert_eq!(problem["code"], code);
    }
}
