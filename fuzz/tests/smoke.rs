//! Every fuzz target on some thousand inputs that are the same in each run. A longer search is libFuzzer's.

use espalier_fuzz::{TARGETS, smoke, target};

/// One test for each target, so that they share the processor.
macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let done = smoke::run(target(stringify!($name)));
            assert!(done.is_ok(), "{}", done.unwrap_err());
        })*

        #[test]
        fn all_are_here() {
            let here = [$(stringify!($name)),*];
            let missing: Vec<_> = TARGETS.iter().filter(|t| !here.contains(&t.name)).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
    };
}

targets! {
    wire_json
    wire_device_up
    wire_device_down
    wire_device_http
    wire_app_message
    device_core
    device_queue
    device_server_url
    device_console
    device_portal
    device_net
    device_settings
    device_records
    device_nvs_import
    device_schedules
    device_zone
    device_profile
    device_picture
    board_der
    board_certificate
    board_frames
    board_http_head
    board_http_body
    board_http_date
    image_app
    image_partitions
    image_recognise
    image_signed_text
    image_patch
    tsdb_chunk
    tsdb_record
    telemetry_body
    telemetry_import
}
