//! The browser: a page signs in, knows who it is, reads, writes and listens with a cookie that no script sees,
//! and no other site can use it.

use espalier_testkit::{Answer, Client, Engine, PASSWORD, START_MS, TestApp, story};
use serde_json::{Value, json};

const OWN: &str = "http://espalier.local:8000";

/// A page of ours, as browsers present it.
fn page(app: &TestApp) -> Client {
    app.anonymous()
        .header("host", "espalier.local:8000")
        .header("origin", OWN)
}

fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.headers["set-cookie"].to_str().expect("a cookie");
    cookie.to_owned()
}

/// The pair that the browser sends back.
fn pair(cookie: &str) -> String {
    cookie.split(';').next().expect("a pair").to_owned()
}

fn credentials() -> Value {
    json!({ "email": "ada@example.com", "password": PASSWORD, "cookie": true })
}

async fn signed_in(app: &TestApp) -> String {
    let answer = page(app).post("/login", credentials()).await;
    answer.expect(200);
    pair(&cookie_of(&answer))
}

story!(
    a_page_signs_in_with_a_cookie_and_sees_no_token,
    |app| async move {
        let ada = app.person("ada").await;
        let answer = page(&app).post("/login", credentials()).await;
        let body = answer.expect(200);
        assert_eq!(body["user"]["id"], json!(ada.account));
        assert_eq!(
            (&body["token_type"], &body["expires_in"]),
            (&json!("cookie"), &json!(7 * 24 * 3600))
        );
        assert!(body.get("access_token").is_none() && body.get("refresh_token").is_none());
        let cookie = cookie_of(&answer);
        for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Secure"), "{cookie}");
        let browser = app.anonymous().header("cookie", &pair(&cookie));
        assert_eq!(browser.get("/me").await.expect(200)["username"], "ada");
        // Whoever does not ask gets what the contract says, and no cookie.
        let legacy = json!({ "email": "ada", "password": PASSWORD });
        let legacy = app.anonymous().post("/login", legacy).await;
        assert!(!legacy.headers.contains_key("set-cookie"));
        assert_eq!(legacy.expect(200)["token_type"], "bearer");
        let new = json!({ "email": "b@example.com", "username": "bob", "password": PASSWORD, "cookie": true });
        let answer = page(&app).post("/signup", new).await;
        assert!(answer.expect(200).get("access_token").is_none());
        let browser = app.anonymous().header("cookie", &pair(&cookie_of(&answer)));
        assert_eq!(browser.get("/me").await.expect(200)["username"], "bob");
        let stale = app
            .anonymous()
            .header("cookie", "espalier_session=esp_web_x");
        stale.get("/me").await.expect(401);
        // A stale cookie is in nobody's way to sign in again.
        let again = stale
            .header("host", "espalier.local:8000")
            .header("origin", OWN);
        again.post("/login", credentials()).await.expect(200);
    }
);

story!(
    the_cookie_is_secure_when_the_page_came_over_tls,
    |app| async move {
        app.person("ada").await;
        let host = app.anonymous().header("host", "home.example");
        let tls = host.header("origin", "https://home.example");
        let answer = tls.post("/login", credentials()).await;
        answer.expect(200);
        assert!(cookie_of(&answer).contains("; Secure"));
        let out = tls
            .header("cookie", &pair(&cookie_of(&answer)))
            .post("/logout", Value::Null)
            .await;
        assert!(cookie_of(&out).contains("Max-Age=0; Secure"));
        let public = TestApp::with(app.engine(), |config| {
            config.public_url = "https://home.example".to_owned();
        });
        let public = public.await;
        public.person("ada").await;
        let script = public.anonymous().post("/login", credentials()).await;
        assert!(cookie_of(&script).contains("; Secure"));
    }
);

story!(another_site_gets_nothing_by_the_cookie, |app| async move {
    app.person("ada").await;
    let cookie = signed_in(&app).await;
    let own = page(&app).header("cookie", &cookie);
    let evil = app
        .anonymous()
        .header("host", "espalier.local:8000")
        .header("origin", "https://evil.example");
    let with = evil.header("cookie", &cookie);
    let sibling = app
        .anonymous()
        .header("cookie", &cookie)
        .header("sec-fetch-site", "same-site")
        .header("sec-fetch-mode", "cors");
    let name = json!({ "name": "Home" });
    for stranger in [&with, &sibling] {
        for answer in [
            stranger.get("/me").await,
            stranger.get("/events/stream").await,
            stranger.get("/notifications/stream").await,
            stranger.post("/dashboards", name.clone()).await,
            stranger.post("/refresh", Value::Null).await,
            stranger.post("/logout", Value::Null).await,
        ] {
            assert_eq!(answer.expect(403)["code"], "cross_origin");
            assert!(!answer.headers.contains_key("set-cookie"));
        }
    }
    // Nor may it sign its visitor in as somebody else, or out: browsers would keep the cookie of the answer.
    evil.post("/login", credentials()).await.expect(403);
    let new = json!({ "email": "b@example.com", "username": "bob", "password": PASSWORD, "cookie": true });
    evil.post("/signup", new).await.expect(403);
    let out = evil.post("/logout", Value::Null).await;
    assert!(!out.headers.contains_key("set-cookie"));
    own.post("/dashboards", name.clone()).await.expect(200);
    // A browser that says nothing about where a write comes from is not believed.
    let silent = app.anonymous().header("cookie", &cookie);
    silent.post("/dashboards", name).await.expect(403);
    silent.get("/me").await.expect(200);
    // A link on another site leads to ours as somebody signed in.
    let followed = app
        .anonymous()
        .header("cookie", &cookie)
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", "navigate");
    followed.get("/me").await.expect(200);
});

story!(
    refreshing_renews_the_cookie_and_signing_out_ends_it,
    |app| async move {
        app.person("ada").await;
        let cookie = signed_in(&app).await;
        let own = page(&app).header("cookie", &cookie);
        let day = 24 * 3_600_000;
        let mut renewed = Value::Null;
        for left in [24, 18, 12, 6] {
            app.clock.advance(6 * day);
            let answer = own.post("/refresh", Value::Null).await;
            renewed = answer.expect(200);
            assert_eq!(renewed["token_type"], "cookie");
            assert!(renewed.get("access_token").is_none());
            // Another tab goes on with the same secret.
            let next = cookie_of(&answer);
            assert_eq!(pair(&next), cookie);
            let age = format!("Max-Age={}", left * 24 * 3600);
            assert!(next.contains(&age), "{next}");
        }
        // However much it is used, a session ends 30 days after signing in.
        assert_eq!(renewed["expires_in"], 6 * 24 * 3600);
        app.clock.advance(6 * day);
        own.post("/refresh", Value::Null).await.expect(401);
        own.get("/me").await.expect(401);
        let cookie = signed_in(&app).await;
        let own = page(&app).header("cookie", &cookie);
        let out = own.post("/logout", Value::Null).await;
        assert_eq!(out.expect(200)["already_logged_out"], false);
        assert!(cookie_of(&out).contains("espalier_session=;"));
        own.get("/me").await.expect(401);
        own.post("/refresh", Value::Null).await.expect(401);
        // Without a cookie a token is needed, as ever.
        page(&app).post("/refresh", Value::Null).await.expect(422);
    }
);

story!(
    sockets_and_streams_open_with_the_cookie_from_our_own_pages,
    |app| async move {
        app.person("ada").await;
        let cookie = signed_in(&app).await;
        let server = app.serve().await;
        let own = format!("http://{}", server.address);
        let ours = [("cookie", cookie.as_str()), ("origin", own.as_str())];
        let mut socket = server.socket_with("/ws", &ours).await.unwrap();
        assert_eq!(socket.next().await["type"], "connected");
        let same = [
            ("cookie", cookie.as_str()),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "cors"),
        ];
        let mut stream = server.events("/events/stream", &same).await;
        assert_eq!(stream.status, 200);
        assert_eq!(stream.next().await["type"], "connected");
        let theirs = [
            ("cookie", cookie.as_str()),
            ("origin", "http://127.0.0.1:1"),
        ];
        assert!(server.socket_with("/ws", &theirs).await.is_err());
        assert_eq!(server.events("/events/stream", &theirs).await.status, 403);
        // Signing out ends what the cookie has open.
        let page = app.anonymous().header("cookie", &cookie);
        let page = page.header("sec-fetch-site", "same-origin");
        page.post("/logout", Value::Null).await.expect(200);
        assert_eq!(socket.close_code().await, 4401);
        assert!(stream.next_line().await.is_none());
    }
);

story!(
    wrong_passwords_cost_ever_more_time_until_the_right_one,
    |app| async move {
        app.person("ada").await;
        let try_with = async |password: &str| {
            let body = json!({ "email": "ada", "password": password, "cookie": true });
            page(&app).post("/login", body).await
        };
        for _ in 0..5 {
            try_with("Wrong-horse-1").await.expect(400);
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            // The right password has to wait too: otherwise waiting would tell which one is right.
            let refused = try_with(PASSWORD).await;
            refused.expect(429);
            assert!(!refused.headers.contains_key("set-cookie"));
            let wait: i64 = refused.headers["retry-after"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            waits.push(wait);
            app.clock.advance(wait * 1000);
            try_with("Wrong-horse-1").await.expect(400);
        }
        assert_eq!(waits[..5], [1, 2, 4, 8, 16]);
        assert_eq!(waits.last(), Some(&900), "a quarter of an hour at most");
        // Others are not kept out by it, from another account.
        app.clock.advance(900 * 1000);
        try_with(PASSWORD).await.expect(200);
        try_with("Wrong-horse-1").await.expect(400);
        try_with(PASSWORD).await.expect(200);
        assert!(app.app.clock.now_ms() > START_MS);
    }
);

/// Ten real seconds: the time-out is the runtime's, not the app's clock. It needs no database, so one engine
/// is enough, and both kinds of sockets wait at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_shows_no_token_in_time_is_closed_with_4401() {
    let app = TestApp::new(Engine::Sqlite).await;
    let server = app.serve().await;
    let mut person = server.socket("/ws", None).await.unwrap();
    let mut board = server.socket("/ws/device", None).await.unwrap();
    let codes = tokio::join!(person.close_code(), board.close_code());
    assert_eq!(codes, (4401, 4401));
}
