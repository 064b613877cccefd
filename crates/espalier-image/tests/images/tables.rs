//! Partition tables.

use crate::kinds::table;
use espalier_image::partitions::{Table, TableError};
use md5::{Digest, Md5};

const TWO: &str = "\
# Name,   Type, SubType, Offset,   Size,     Flags
nvs,      data, nvs,     0x9000,   0x4000,
otadata,  data, ota,     ,         0x2000,
phy_init, data, phy,     ,         4K,       readonly
ota_0,    app,  ota_0,   ,         1920K,
ota_1,    app,  ota_1,   ,         0x1e0000, encrypted
";

#[test]
fn text_and_bytes_say_the_same() {
    let text = Table::from_csv(TWO).unwrap();
    let ota = text.ota().unwrap();
    assert_eq!(
        (ota.slots, ota.slot_size, ota.data_offset),
        (2, 0x1E_0000, 0xD000)
    );
    let mut rows = Vec::new();
    for entry in text.entries() {
        rows.push((
            entry.label.as_str(),
            entry.kind,
            entry.subtype,
            entry.offset,
            entry.size,
        ));
    }
    let mut bytes = table(&rows);
    assert_eq!(Table::parse(&bytes).unwrap().slot_size(), text.slot_size());
    let end = rows.len() * 32;
    let digest = Md5::digest(&bytes[..end]);
    bytes[end..end + 2].copy_from_slice(&[0xEB, 0xEB]);
    bytes[end + 16..end + 32].copy_from_slice(&digest);
    assert!(Table::parse(&bytes).unwrap().md5);
    bytes[12] ^= 1;
    assert_eq!(Table::parse(&bytes), Err(TableError::Md5));
}

#[test]
fn the_real_table_is_read() {
    let Some(text) = crate::real("partitions.csv") else {
        return;
    };
    let table = Table::from_csv(std::str::from_utf8(&text).unwrap()).unwrap();
    assert_eq!(table.slot_size(), Ok(0x1E_0000));
}

#[test]
fn boards_that_cannot_update_are_told() {
    let huge = "nvs,data,nvs,0x9000,0x5000\notadata,data,ota,0xe000,0x2000\napp0,app,ota_0,0x10000,0x300000\nspiffs,data,spiffs,0x310000,0xE0000\n";
    let error = Table::from_csv(huge).unwrap().slot_size().unwrap_err();
    assert_eq!(error, TableError::OneSlot);
    assert!(error.to_string().contains("huge_app"));
    let factory = "nvs,data,nvs,0x9000,0x5000\nfactory,app,factory,0x10000,1M\n";
    assert_eq!(
        Table::from_csv(factory).unwrap().slot_size(),
        Err(TableError::OneSlot)
    );
    let no_data = "a,app,ota_0,0x10000,1M\nb,app,ota_1,,1M\n";
    assert_eq!(
        Table::from_csv(no_data).unwrap().slot_size(),
        Err(TableError::OtaData)
    );
    let data_only = "nvs,data,nvs,0x9000,0x5000\n";
    assert_eq!(
        Table::from_csv(data_only).unwrap().slot_size(),
        Err(TableError::NoSlots)
    );
}

#[test]
fn faults_have_their_names() {
    for (text, wanted) in [
        ("", TableError::Empty),
        ("a,app,ota_0,0x11000,1M", TableError::Place { number: 1 }),
        ("a,app,ota_0,0x10000,0", TableError::Place { number: 1 }),
        (
            "a,data,nvs,0x9000,4K\nb,data,nvs,0x9000,4K",
            TableError::Overlap { number: 2 },
        ),
        ("a,app,ota_0,0xffff0000,1M", TableError::Place { number: 1 }),
        (
            "\n,app,ota_0,0x10000,1M",
            TableError::Field {
                line: 2,
                what: "name (1 to 16 bytes)",
            },
        ),
        (
            "a,app,ota_16,0x10000,1M",
            TableError::Field {
                line: 1,
                what: "subtype",
            },
        ),
        (
            "a,app,ota_0,here,1M",
            TableError::Field {
                line: 1,
                what: "offset",
            },
        ),
        (
            "a,app,ota_0,0x10000,1G",
            TableError::Field {
                line: 1,
                what: "size",
            },
        ),
    ] {
        assert_eq!(Table::from_csv(text), Err(wanted), "{text}");
    }
    assert_eq!(Table::parse(&[0xFF; 64]), Err(TableError::Empty));
    assert_eq!(
        Table::parse(&[0x11; 64]),
        Err(TableError::Entry { number: 1 })
    );
    let many = "a,data,nvs,,4K\n".repeat(96);
    assert_eq!(Table::from_csv(&many), Err(TableError::TooMany));
}

proptest::proptest! {
    #[test]
    fn any_input_is_survived(bytes: Vec<u8>, text: String) {
        let _ = Table::parse(&bytes).map(|table| table.ota());
        let _ = Table::from_csv(&text).map(|table| table.ota());
    }
}
