//! Telemetry as Parquet files: what is in them is what CSV, NDJSON and JSON tell of the same question.
//!
//! A binary of its own, because only a server built with the feature `parquet` can do it.

use bytes::Bytes;
use espalier_testkit::{Client, START_MS, TestApp, story};
use parquet::basic::{LogicalType, TimeUnit, Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Value, json};

const HOUR: i64 = 3_600_000;

/// More than one group of rows.
const MANY: i64 = 140_000;

async fn fill(client: &Client, device: &str, samples: Vec<Value>) {
    let path = format!("/devices/{device}/telemetry");
    for samples in samples.chunks(5000) {
        let body = json!({"samples": samples});
        client.post(&path, body).await.expect(200);
    }
}

/// Fetches a file and opens it.
async fn file(client: &Client, url: &str) -> SerializedFileReader<Bytes> {
    let answer = client.get(url).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.headers["content-type"],
        "application/vnd.apache.parquet"
    );
    let bytes = Bytes::from(answer.bytes);
    SerializedFileReader::new(bytes).expect("a Parquet file")
}

/// The rows of a file, each as an object without what is null.
fn rows(file: &SerializedFileReader<Bytes>) -> Vec<Map<String, Value>> {
    let rows = file.get_row_iter(None).expect("rows");
    rows.map(|row| {
        let row = row.expect("a row");
        let columns = row.get_column_iter().filter_map(|(name, field)| {
            let value = match field {
                Field::Null => return None,
                Field::Str(text) if name.ends_with("_json") => {
                    serde_json::from_str(text).expect("JSON")
                }
                Field::Str(text) => json!(text),
                Field::TimestampMillis(ts) | Field::Long(ts) => json!(ts),
                Field::Double(number) => json!(number),
                Field::Bool(flag) => json!(flag),
                other => panic!("{name} is {other:?}"),
            };
            Some((name.clone(), value))
        });
        columns.collect()
    })
    .collect()
}

/// The value of a row, whatever its type: whole numbers as integers, like JSON answers.
fn value(row: &Map<String, Value>, name: &str) -> Value {
    let columns = ["", "_bool", "_text", "_json"].map(|kind| row.get(&format!("{name}{kind}")));
    let mut found = columns.into_iter().flatten();
    let value = found.next().cloned().unwrap_or_default();
    assert_eq!(found.next(), None, "a value stands in one column: {row:?}");
    plain(value)
}

fn plain(value: Value) -> Value {
    match value.as_f64() {
        Some(number) if number.fract() == 0.0 => json!(number as i64),
        _ => value,
    }
}

async fn board(app: &TestApp, person: &espalier_testkit::Person, name: &str) -> (String, Client) {
    let (device, token) = person.device(name).await;
    (device, app.anonymous().bearer(&token))
}

story!(points_are_those_of_the_other_formats, |app| async move {
    let ada = app.person("ada").await;
    let (one, client) = board(&app, &ada, "one").await;
    let samples = (0..MANY)
        .map(|n| json!({"ts": START_MS - n * 1000, "data": {"t": (n % 977) as f64 / 10.0}}));
    fill(&client, &one, samples.collect()).await;
    let (two, client) = board(&app, &ada, "two").await;
    let mixed = [
        json!(1.5),
        json!(true),
        json!("text, \"quoted\" ü"),
        json!({"a": [1, null]}),
        json!(-0.1),
        json!(""),
    ];
    let samples = mixed
        .iter()
        .enumerate()
        .map(|(n, value)| json!({"ts": START_MS + n as i64, "data": {"mixed": value, "n": n}}));
    fill(&client, &two, samples.collect()).await;
    let url = format!("device_id={one},{two}&from={}", START_MS - MANY * 1000);
    let parquet = file(
        &ada.client,
        &format!("/telemetry/history?{url}&format=parquet"),
    )
    .await;
    let meta = parquet.metadata();
    assert!(
        meta.num_row_groups() >= 2,
        "bounded groups, not one of everything"
    );
    let schema = meta.file_metadata().schema_descr();
    assert_eq!(schema.column(2).name(), "timestamp");
    assert_eq!(schema.column(2).physical_type(), Type::INT64);
    let utc = LogicalType::timestamp(true, TimeUnit::MILLIS);
    assert_eq!(schema.column(2).logical_type_ref(), Some(&utc));
    let rows = rows(&parquet);
    let ndjson = ada
        .client
        .get(&format!("/telemetry/export?{url}&format=ndjson"))
        .await
        .text();
    assert_eq!(rows.len(), ndjson.lines().count());
    for (row, line) in rows.iter().zip(ndjson.lines()) {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let row = json!({"device_id": row["device_id"], "key": row["key"], "ts": row["timestamp"], "value": value(row, "value")});
        for (name, value) in row.as_object().expect("an object") {
            assert_eq!(*value, line[name], "{name} of {row} and {line}");
        }
    }
    let csv = ada
        .client
        .get(&format!("/telemetry/export?{url}&format=csv"))
        .await
        .text();
    assert_eq!(csv.lines().count(), rows.len() + 1);
    let export = file(
        &ada.client,
        &format!("/telemetry/export?{url}&format=parquet&interval=1h"),
    )
    .await;
    assert_eq!(
        export.metadata().file_metadata().num_rows(),
        rows.len() as i64
    );
});

story!(buckets_are_those_of_the_json_answer, |app| async move {
    let ada = app.person("ada").await;
    let (device, client) = board(&app, &ada, "d").await;
    let values = [json!(1), json!(2.5), json!(true), json!("on"), json!(-7)];
    let samples = (0..50).map(|n| {
        let value = &values[n % values.len()];
        json!({"ts": START_MS - n as i64 * HOUR / 4, "data": {"mixed": value, "n": n}})
    });
    fill(&client, &device, samples.collect()).await;
    let url = format!(
        "/telemetry/history?device_id={device}&key=mixed,n,none&period=24h&interval=1h&agg=min,max,mean,last,first,count,sum"
    );
    for more in ["", "&fill=null", "&order=desc"] {
        let answer = ada.client.get(&format!("{url}{more}")).await.expect(200);
        let parquet = file(&ada.client, &format!("{url}{more}&format=parquet")).await;
        let mut rows = rows(&parquet).into_iter();
        for series in answer["series"].as_array().expect("series") {
            for point in series["points"].as_array().expect("points") {
                let row = rows.next().expect("a row");
                assert_eq!(row["device_id"], device);
                assert_eq!(row["key"], series["key"]);
                assert_eq!(row["timestamp"], point["t"]);
                for name in ["min", "max", "mean", "sum", "count", "first", "last"] {
                    assert_eq!(value(&row, name), point[name], "{name} of {row:?}");
                }
            }
        }
        assert_eq!(rows.next(), None);
    }
    // Two keys of 72,000 seconds each are too much for one JSON answer, but not for a file.
    let long = format!(
        "/telemetry/history?device_id={device}&key=mixed,n&period=20h&interval=1s&agg=count"
    );
    ada.client.get(&long).await.expect(422);
    let long = file(&ada.client, &format!("{long}&format=parquet")).await;
    assert_eq!(long.metadata().file_metadata().num_rows(), 2 * 50);
});

story!(limits_orders_and_rights_hold, |app| async move {
    let ada = app.person("ada").await;
    let eve = app.person("eve").await;
    let (device, client) = board(&app, &ada, "d").await;
    let samples = (0..10).map(|n| json!({"ts": START_MS + n, "data": {"t": n}}));
    fill(&client, &device, samples.collect()).await;
    let url = format!("/telemetry/history?device_id={device}&key=t&format=parquet");
    let newest = file(&ada.client, &format!("{url}&order=desc&limit=3")).await;
    let newest: Vec<Value> = rows(&newest)
        .iter()
        .map(|row| value(row, "value"))
        .collect();
    assert_eq!(newest, [json!(9), json!(8), json!(7)]);
    let none = file(&ada.client, &format!("{url}&from=2020-01-01&to=2020-01-02")).await;
    assert_eq!(none.metadata().file_metadata().num_rows(), 0);
    let body = json!({"device_ids": [device], "format": "parquet"});
    let posted = ada.client.post("/telemetry/query", body.clone()).await;
    let posted = SerializedFileReader::new(Bytes::from(posted.bytes)).expect("a Parquet file");
    assert_eq!(posted.metadata().file_metadata().num_rows(), 10);
    eve.client.get(&url).await.expect(404);
    eve.client.post("/telemetry/query", body).await.expect(404);
    ada.client
        .get(&format!("{url}&interval=never"))
        .await
        .expect(422);
    app.anonymous().get(&url).await.expect(401);
});
