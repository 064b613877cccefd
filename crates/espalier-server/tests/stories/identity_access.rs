//! API keys, sessions, viewers, the browser's cookie, the set-up link, forgotten passwords and mail.

use espalier_model::Role;
use espalier_server::identity;
use espalier_testkit::{Engine, PASSWORD, TestApp, story};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

story!(
    a_key_does_what_its_scopes_say_until_it_is_deleted,
    |app| async move {
        let ada = app.person("ada").await;
        let new = json!({ "name": "script", "scopes": ["read"] });
        let key = ada.client.post("/me/api-keys", new).await.expect(201);
        let secret = key["secret"].as_str().expect("a secret");
        assert!(secret.starts_with("esp_key_"));
        for client in [
            app.anonymous().bearer(secret),
            app.anonymous().header("x-api-key", secret),
        ] {
            assert_eq!(client.get("/me").await.expect(200)["username"], "ada");
            let problem = client.put("/me", json!({})).await.expect(403);
            assert!(
                problem["detail"]
                    .as_str()
                    .expect("a sentence")
                    .contains("`write`")
            );
        }
        identity::tick(&app.app).await.expect("a tick");
        let listed = ada.client.get("/me/api-keys").await;
        assert_eq!(
            listed.expect(200)[0]["last_used_at"],
            "2026-03-01T12:00:00.000Z"
        );
        assert!(!listed.text().contains(secret));
        let path = format!("/me/api-keys/{}", key["id"].as_str().expect("an id"));
        ada.client.delete(&path).await.expect(200);
        app.anonymous().bearer(secret).get("/me").await.expect(401);
        ada.client.delete(&path).await.expect(404);
    }
);

story!(a_key_cannot_make_itself_more_than_it_is, |app| async move {
    let ada = app.person("ada").await;
    ada.client
        .post("/me/api-keys", json!({ "name": "x", "scopes": ["admin"] }))
        .await
        .expect(403);
    for wrong in [
        json!({ "name": "", "scopes": ["read"] }),
        json!({ "name": "x", "scopes": [] }),
        json!({ "name": "x", "scopes": ["root"] }),
        json!({ "name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z" }),
        json!({ "name": "x", "scopes": ["read"], "expires_at": "soon" }),
    ] {
        ada.client.post("/me/api-keys", wrong).await.expect(422);
    }
    let new = json!({ "name": "x", "scopes": ["write"], "expires_at": "2026-03-01T13:00:00Z" });
    let key = ada.client.post("/me/api-keys", new).await.expect(201);
    let client = app
        .anonymous()
        .bearer(key["secret"].as_str().expect("a secret"));
    client
        .post("/me/api-keys", json!({ "name": "y", "scopes": ["read"] }))
        .await
        .expect(403);
    client.post("/logout", Value::Null).await.expect(403);
    client
        .post("/devices", json!({ "name": "by key" }))
        .await
        .expect(200);
    app.clock.advance(3_600_000);
    client
        .post("/devices", json!({ "name": "too late" }))
        .await
        .expect(401);
});

story!(a_session_can_be_ended_from_another_one, |app| async move {
    let ada = app.person("ada").await;
    let login = json!({ "email": "ada", "password": PASSWORD });
    let other = app
        .anonymous()
        .header("user-agent", "phone")
        .post("/login", login)
        .await
        .expect(200);
    let other = app
        .anonymous()
        .bearer(other["access_token"].as_str().expect("a token"));
    other.get("/me").await.expect(200);
    let sessions = ada.client.get("/me/sessions").await.expect(200);
    let sessions = sessions.as_array().expect("a list");
    assert_eq!(sessions.len(), 2);
    let phone = sessions
        .iter()
        .find(|s| s["user_agent"] == "phone")
        .expect("the phone");
    assert_eq!(
        (&phone["current"], &phone["address"]),
        (&json!(false), &json!("127.0.0.1"))
    );
    let path = format!("/me/sessions/{}", phone["id"].as_str().expect("an id"));
    let bob = app.person("bob").await;
    bob.client.delete(&path).await.expect(404);
    ada.client.delete(&path).await.expect(200);
    other.get("/me").await.expect(401);
    ada.client.get("/me").await.expect(200);
});

story!(
    a_viewer_changes_nothing_but_its_own_account,
    |app| async move {
        let viewer = app.person_with("ada", Role::Viewer).await;
        viewer
            .client
            .post("/devices", json!({ "name": "mine" }))
            .await
            .expect(403);
        viewer
            .client
            .post("/dashboards", json!({ "name": "mine" }))
            .await
            .expect(403);
        viewer.client.get("/devices").await.expect(200);
        viewer
            .client
            .put("/me", json!({ "full_name": "Ada" }))
            .await
            .expect(200);
    }
);

fn token_of(link: &str) -> String {
    link.split_once("token=").expect("a link").1.to_owned()
}

story!(
    the_first_account_comes_from_the_one_time_link,
    |app| async move {
        let mut app = app;
        let old = token_of(&identity::setup_link(&app.app).expect("a link"));
        app.restart().await;
        let token = token_of(&identity::setup_link(&app.app).expect("a link"));
        assert_ne!(old, token);
        assert_eq!(
            app.anonymous()
                .get(&format!("/setup?token={old}"))
                .await
                .status,
            404
        );
        let page = app.anonymous().get(&format!("/setup?token={token}")).await;
        assert_eq!(page.status, 200);
        assert!(page.text().contains("name=\"password\"") && !page.text().contains("<script"));
        let weak = app
            .anonymous()
            .form(
                "/setup",
                &format!("token={token}&email=ada%40example.com&username=ada&password=weak"),
            )
            .await;
        assert_eq!(weak.status, 422);
        assert!(weak.text().contains("role=\"alert\"") && weak.text().contains("ada@example.com"));
        let form =
            format!("token={token}&email=ada%40example.com&username=ada&password={PASSWORD}");
        let done = app.anonymous().form("/setup", &form).await;
        assert_eq!(
            (done.status, &done.headers["location"]),
            (303, &"/".parse().expect("a header"))
        );
        let cookie = done.headers["set-cookie"]
            .to_str()
            .expect("a cookie")
            .to_owned();
        assert!(
            cookie.contains("HttpOnly")
                && cookie.contains("SameSite=Lax")
                && !cookie.contains("Secure")
        );
        let browser = app
            .anonymous()
            .header("cookie", cookie.split(';').next().expect("a pair"));
        assert_eq!(browser.get("/me").await.expect(200)["role"], "owner");
        assert_eq!(identity::setup_link(&app.app), None);
        assert_eq!(app.anonymous().form("/setup", &form).await.status, 404);
        browser
            .put("/me", json!({ "full_name": "Ada" }))
            .await
            .expect(403);
        let evil = browser
            .header("origin", "https://evil.example")
            .header("host", "localhost:8000");
        evil.put("/me", json!({ "full_name": "Eve" }))
            .await
            .expect(403);
        let own = browser
            .header("origin", "http://localhost:8000")
            .header("host", "localhost:8000");
        own.put("/me", json!({ "full_name": "Ada" }))
            .await
            .expect(200);
        let out = own.post("/logout", Value::Null).await;
        assert!(
            out.headers["set-cookie"]
                .to_str()
                .expect("a cookie")
                .contains("Max-Age=0")
        );
        browser.get("/me").await.expect(401);
        app.restart().await;
        assert_eq!(identity::setup_link(&app.app), None);
    }
);

story!(
    a_browser_stays_signed_in_while_it_is_used,
    |app| async move {
        let token = token_of(&identity::setup_link(&app.app).expect("a link"));
        let body = json!({ "token": token, "email": "ada@example.com", "username": "ada", "password": PASSWORD });
        let done = app.anonymous().post("/setup", body).await;
        let signed_in = done.expect(200);
        app.anonymous()
            .bearer(signed_in["access_token"].as_str().expect("a token"))
            .get("/me")
            .await
            .expect(200);
        let cookie = done.headers["set-cookie"]
            .to_str()
            .expect("a cookie")
            .to_owned();
        let browser = app
            .anonymous()
            .header("cookie", cookie.split(';').next().expect("a pair"));
        let day = 24 * 3_600_000;
        for _ in 0..4 {
            app.clock.advance(6 * day);
            browser.get("/me").await.expect(200);
            identity::tick(&app.app).await.expect("a tick");
        }
        app.clock.advance(6 * day);
        browser.get("/me").await.expect(401);
    }
);

story!(
    asking_for_a_reset_tells_nobody_who_has_an_account,
    |app| async move {
        app.person("ada").await;
        let ask = async |email: &str| {
            app.anonymous()
                .post("/forgot-password", json!({ "email": email }))
                .await
        };
        let (known, unknown) = (
            ask("ada@example.com").await,
            ask("nobody@example.com").await,
        );
        assert_eq!(known.expect(200), unknown.expect(200));
        ask("nonsense").await.expect(422);
        app.anonymous()
            .get("/verify-reset-token?token=ABCD1234")
            .await
            .expect(400);
        for _ in 0..4 {
            let body = json!({ "token": "ABCD1234", "new_password": PASSWORD });
            app.anonymous()
                .post("/reset-password", body)
                .await
                .expect(400);
        }
        app.anonymous()
            .get("/verify-reset-token?token=ABCD1234")
            .await
            .expect(429);
    }
);

/// Takes one mail as an SMTP server does and returns its text.
async fn take_mail(listener: tokio::net::TcpListener) -> String {
    let (socket, _) = listener.accept().await.expect("a connection");
    let (read, mut write) = socket.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 test\r\n").await.expect("a greeting");
    let (mut text, mut in_data) = (String::new(), false);
    while let Some(line) = lines.next_line().await.expect("a line") {
        let answer: &[u8] = if in_data && line == "." {
            write.write_all(b"250 taken\r\n").await.expect("an answer");
            return text;
        } else if in_data {
            text.push_str(&line);
            text.push('\n');
            continue;
        } else if line.starts_with("DATA") {
            in_data = true;
            b"354 go\r\n"
        } else {
            b"250 fine\r\n"
        };
        write.write_all(answer).await.expect("an answer");
    }
    panic!("the connection ended before a mail came: {text}");
}

/// An app with a person who has forgotten her password, and the code that was mailed to her.
async fn forgotten() -> (TestApp, espalier_testkit::Person, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let app = TestApp::with(Engine::Sqlite, |c| {
        c.smtp_url = Some(format!("smtp://127.0.0.1:{port}"))
    })
    .await;
    let ada = app.person("ada").await;
    ada.client.get("/me").await.expect(200);
    app.anonymous()
        .post("/forgot-password", json!({ "email": "ada@example.com" }))
        .await
        .expect(200);
    let mail = take_mail(listener).await.replace("=\n", "");
    assert!(mail.contains("To: ada@example.com"), "{mail}");
    let start = mail.find("esp_reset_").expect("a code");
    let code: String = mail[start..]
        .chars()
        .take("esp_reset_".len() + 64)
        .collect();
    assert!(mail.contains("/setup?token="), "{mail}");
    (app, ada, code)
}

#[tokio::test]
async fn the_mailed_link_opens_a_page_that_sets_the_password_once() {
    let (app, ada, code) = forgotten().await;
    let page = app.anonymous().get(&format!("/setup?token={code}")).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("password"), "{}", page.text());
    let body = json!({ "token": code, "password": "Battery-staple-2" });
    app.anonymous()
        .post("/setup", body.clone())
        .await
        .expect(200);
    app.anonymous().post("/setup", body).await.expect(404);
    ada.client.get("/me").await.expect(401);
    let login = json!({ "email": "ada", "password": "Battery-staple-2" });
    app.anonymous().post("/login", login).await.expect(200);
}

#[tokio::test]
async fn a_mailed_code_resets_the_password_once_and_ends_every_session() {
    let (app, ada, code) = forgotten().await;
    app.anonymous()
        .get(&format!("/verify-reset-token?token={code}"))
        .await
        .expect(200);
    let new = "Battery-staple-2";
    let weak = json!({ "token": code, "new_password": "weak" });
    app.anonymous()
        .post("/reset-password", weak)
        .await
        .expect(422);
    let body = json!({ "token": code, "new_password": new });
    app.anonymous()
        .post("/reset-password", body.clone())
        .await
        .expect(200);
    app.anonymous()
        .post("/reset-password", body)
        .await
        .expect(400);
    ada.client.get("/me").await.expect(401);
    app.anonymous()
        .post("/login", json!({ "email": "ada", "password": PASSWORD }))
        .await
        .expect(400);
    app.anonymous()
        .post("/login", json!({ "email": "ada", "password": new }))
        .await
        .expect(200);
}
