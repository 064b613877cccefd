//! A kit for the demo, so that the page that flashes boards can be tried. It is sound for every check and starts on no board.

use crate::provision::Server;
use anyhow::anyhow;
use espalier_image::Hex;
use espalier_image::chip::Chip;
use espalier_image::keys::{PrivateKey, sign};
use espalier_image::make::{self, Make};
use espalier_image::manifest;
use espalier_image::partitions::Table;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The chip that it is for.
const CHIP: Chip = Chip::Esp32C3;
/// The flash of a small board, as the real firmware divides it.
const LAYOUT: &str = "nvs, data, nvs, 0x9000, 0x4000
otadata, data, ota, 0xd000, 0x2000
phy_init, data, phy, 0xf000, 0x1000
ota_0, app, ota_0, 0x10000, 0x1e0000
ota_1, app, ota_1, 0x1f0000, 0x1e0000
espalier, data, undefined, 0x3d0000, 0x20000";
/// Bytes of the app: enough to see the progress of a download.
const APP_SIZE: usize = 256 * 1024;
/// What everybody must know who sees it.
const NOTES: &str = "Demo image: it does not run on a real board. It is here to try this page without real firmware; a board that is \
                     flashed with it stays silent until it is flashed with a real kit.";

/// Makes sure that the account has the kit.
pub async fn upload(server: &Server, key: &PrivateKey) -> anyhow::Result<()> {
    let table = Table::from_csv(LAYOUT).map_err(|error| anyhow!("{error}"))?;
    let app = Make {
        chip: CHIP,
        project: "espalier-demo",
        version: "0.0.0-demo",
        payload: &payload(),
        ..Make::default()
    };
    let (bootloader, table, app) = (
        make::bootloader(CHIP),
        make::partition_table(&table),
        app.bytes(),
    );
    let manifest = manifest::of(&app).map_err(|error| anyhow!("{error}"))?;
    let signature = sign(&manifest, key).map_err(|error| anyhow!("{error}"))?;
    let part = |name: &str, offset: u32, bytes: &[u8]| -> Value {
        json!({
            "name": name, "file": format!("{name}.bin"), "offset": offset, "size": bytes.len(),
            "sha256": Hex(&Sha256::digest(bytes)).to_string(),
        })
    };
    let kit = json!({
        "format": 1, "variant": "base", "chip": CHIP.title(), "project": "espalier-demo", "version": "0.0.0-demo",
        "flash_size": 4 << 20, "notes": NOTES,
        "parts": [
            part("bootloader", CHIP.bootloader_offset(), &bootloader),
            part("partitions", 0x8000, &table),
            part("app", 0x1_0000, &app),
        ],
        "settings": { "offset": 0x3d_0000, "size": 0x2_0000 },
        "otadata": { "offset": 0xd000, "size": 0x2000 },
    })
    .to_string();
    let fields = [
        ("kit", None, kit.as_bytes()),
        ("bootloader", Some("bootloader.bin"), &*bootloader),
        ("partitions", Some("partitions.bin"), &*table),
        ("app", Some("app.bin"), &*app),
        ("signature", None, signature.as_bytes()),
    ];
    server.form("/firmware/kits", &fields).await.map(|_| ())
}

/// What the image holds: a sentence for whoever looks inside, and something that is no code.
fn payload() -> Vec<u8> {
    let line = b"A demo image of Espalier: it does not run on a real board.\n";
    line.iter().copied().cycle().take(APP_SIZE).collect()
}
