//! The promises of `Db` on both engines: durability order, isolation, constraints, conflicts, panics.

use espalier_db::{Db, Engine, Error, params, testing};

async fn open(engine: Engine) -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let location = testing::location(engine, dir.path()).await;
    (dir, Db::open(&location).await.unwrap())
}

async fn put(db: &Db, key: &str, value: &str) -> Result<u64, Error> {
    let (key, value) = (key.to_owned(), value.to_owned());
    db.write(move |c| {
        c.execute(
            "insert into meta (key, value) values ($1, $2)",
            params![&key, &value],
        )
    })
    .await
}

async fn get(db: &Db, key: &str) -> Option<String> {
    let key = key.to_owned();
    db.read(move |c| {
        c.query_opt("select value from meta where key = $1", params![&key])?
            .map(|row| row.get("value"))
            .transpose()
    })
    .await
    .unwrap_or_else(|e: Error| panic!("{e}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_leaves_nothing() {
    for engine in testing::engines() {
        let (_dir, db) = open(engine).await;
        let result: Result<(), Error> = db
            .write(|c| {
                c.execute(
                    "insert into meta (key, value) values ($1, $2)",
                    params!["half", "x"],
                )?;
                Err(Error::NoRow)
            })
            .await;
        assert!(matches!(result, Err(Error::NoRow)), "{engine}");
        assert_eq!(get(&db, "half").await, None, "{engine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_write_leaves_nothing_and_the_database_goes_on() {
    for engine in testing::engines() {
        let (_dir, db) = open(engine).await;
        let result: Result<(), Error> = db
            .write(|c| {
                c.execute(
                    "insert into meta (key, value) values ($1, $2)",
                    params!["half", "x"],
                )?;
                panic!("on purpose")
            })
            .await;
        assert!(result.is_err(), "{engine}");
        put(&db, "next", "y").await.unwrap();
        assert_eq!(get(&db, "half").await, None, "{engine}");
        assert_eq!(get(&db, "next").await.as_deref(), Some("y"), "{engine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_names_the_key() {
    for engine in testing::engines() {
        let (_dir, db) = open(engine).await;
        put(&db, "once", "1").await.unwrap();
        let Err(Error::Unique(name)) = put(&db, "once", "2").await else {
            panic!("{engine}: no conflict")
        };
        assert!(name.contains("key"), "{engine}: {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_read_modify_write_loses_no_update() {
    for engine in testing::engines() {
        let (_dir, db) = open(engine).await;
        put(&db, "n", "0").await.unwrap();
        let add = |db: Db| async move {
            db.write(|c| {
                let row = c.query_one("select value from meta where key = $1", params!["n"])?;
                let n: i64 = row
                    .get::<String>("value")?
                    .parse()
                    .map_err(|_| Error::NoRow)?;
                c.execute(
                    "update meta set value = $1 where key = $2",
                    params![(n + 1).to_string(), "n"],
                )
            })
            .await
        };
        let all: Vec<_> = (0..8).map(|_| tokio::spawn(add(db.clone()))).collect();
        for one in all {
            one.await.unwrap().unwrap();
        }
        assert_eq!(get(&db, "n").await.as_deref(), Some("8"), "{engine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let location = testing::location(Engine::Sqlite, dir.path()).await;
    let db = Db::open(&location).await.unwrap();
    put(&db, "kept", "yes").await.unwrap();
    let copy = dir.path().join("copy.db");
    db.snapshot(copy.clone()).await.unwrap();
    db.close().await;
    assert!(matches!(put(&db, "late", "no").await, Err(Error::Closed)));
    for path in [location, espalier_db::Location::Sqlite(copy)] {
        let db = Db::open(&path).await.unwrap();
        assert_eq!(get(&db, "kept").await.as_deref(), Some("yes"));
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_address_says_where_and_hides_the_password() {
    let url = "postgres://me:secret@127.0.0.1:1/none".to_owned();
    let Err(error) = Db::open(&espalier_db::Location::Postgres(url)).await else {
        panic!("opened")
    };
    assert!(!error.to_string().contains("secret"), "{error}");
}
