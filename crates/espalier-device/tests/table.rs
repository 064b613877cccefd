//! The places in flash that emulated and simulated boards use are those of the partition table that real boards get.

use espalier_device::update::Layout;
use espalier_device::update::table::{FLASH, OTADATA, RECORDS, SLOTS, layout};
use espalier_image::partitions::{Entry, Table};

#[test]
fn the_table_of_the_firmware_says_the_same() {
    let text = include_str!("../../../firmware/partitions.csv");
    let table = Table::from_csv(text).unwrap();
    let place = |name: &str| {
        let named = |entry: &&Entry| entry.label == name;
        let entry = table.entries().iter().find(named).unwrap();
        (entry.offset, entry.size)
    };
    assert_eq!(place("otadata"), (OTADATA, 0x2000));
    assert_eq!(place("ota_0"), (SLOTS[0].offset, SLOTS[0].size));
    assert_eq!(place("ota_1"), (SLOTS[1].offset, SLOTS[1].size));
    assert_eq!(place("espalier"), (RECORDS.offset, RECORDS.size));
    assert_eq!(layout(), Layout::new(OTADATA, &SLOTS).unwrap());
    let end = table
        .entries()
        .iter()
        .map(|entry| entry.offset + entry.size);
    assert!(end.max().unwrap() <= FLASH);
}
