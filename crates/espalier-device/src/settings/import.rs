//! The settings that other firmware left in ESP-IDF's key-value store: the namespaces `iot-config` and `esp32ota`. Not how that
//! store lies in flash, which is `nvs.rs`, and never written back.
//!
//! | key | setting |
//! |---|---|
//! | `iot-config`: `device_id`, `device_token`, `api_url` | device, token, server |
//! | `esp32ota`: `device_name` | name |
//! | `esp32ota`: `wifi_ssid`, `wifi_password` | the first network; without a password an open one |
//! | `esp32ota`: `server_url` | server, unless `api_url` is there |
//!
//! `occupation`, `ota_username`, `ota_password`, `preferences` and the LED's keys have no place here: the server knows the first, a
//! token took the place of the second, and the rest is desired state.

use embedded_storage::nor_flash::ReadNorFlash;
use heapless::Vec;

use super::nvs::{Nvs, NvsError};
use super::{Network, Settings, SettingsError};

/// The namespace of the telemetry firmware.
pub const IOT_CONFIG: &str = "iot-config";
/// The namespace of the screen firmware.
pub const ESP32OTA: &str = "esp32ota";
/// Longest value that is taken, in bytes with its zero byte; the longest setting has 128.
const VALUE: usize = 160;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// The settings that could be taken over.
    pub settings: Settings,
    /// The keys whose values cannot be used.
    pub skipped: Vec<&'static str, 8>,
}

/// Takes a value into the settings.
type Set = fn(&mut Settings, &str) -> Result<(), SettingsError>;

impl Imported {
    fn skip(&mut self, key: &'static str) {
        // There are fewer keys than places.
        let _ = self.skipped.push(key);
    }

    fn take<F: ReadNorFlash>(
        &mut self,
        nvs: &mut Nvs<'_, F>,
        namespace: u8,
        keys: &[(&'static str, Set)],
    ) -> Result<(), NvsError<F::Error>> {
        for (key, set) in keys {
            let mut buffer = [0; VALUE];
            match nvs.text(namespace, key, &mut buffer) {
                Ok(Some(text)) if set(&mut self.settings, text).is_err() => self.skip(key),
                Ok(_) => {}
                Err(NvsError::TooLong | NvsError::NotText) => self.skip(key),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take_network<F: ReadNorFlash>(
        &mut self,
        nvs: &mut Nvs<'_, F>,
        namespace: u8,
    ) -> Result<(), NvsError<F::Error>> {
        let (mut ssid, mut password) = ([0; VALUE], [0; VALUE]);
        let ssid = match nvs.text(namespace, "wifi_ssid", &mut ssid) {
            Ok(Some(ssid)) if !ssid.is_empty() => ssid,
            Ok(_) => return Ok(()),
            Err(NvsError::TooLong | NvsError::NotText) => {
                self.skip("wifi_ssid");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let password = match nvs.text(namespace, "wifi_password", &mut password) {
            Ok(password) => password.unwrap_or_default(),
            Err(NvsError::TooLong | NvsError::NotText) => {
                self.skip("wifi_password");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match Network::new(ssid, password) {
            Ok(network) => self.settings.put_network(network),
            Err(SettingsError::Member { name: "ssid", .. }) => self.skip("wifi_ssid"),
            Err(_) => self.skip("wifi_password"),
        }
        Ok(())
    }
}

/// Reads the settings that other firmware left in the partition that begins at `offset` and has `size` bytes
/// ([`super::nvs::region`] finds it); nothing when it left none.
///
/// # Errors
/// When there is no such place, or the flash cannot be read. Values that cannot be used are skipped.
pub fn import<F: ReadNorFlash>(
    flash: &mut F,
    offset: u32,
    size: u32,
) -> Result<Option<Imported>, NvsError<F::Error>> {
    let mut nvs = Nvs::open(flash, offset, size)?;
    let screen = nvs.namespace(ESP32OTA)?;
    let telemetry = nvs.namespace(IOT_CONFIG)?;
    let mut found = Imported::default();
    if let Some(screen) = screen {
        found.take(
            &mut nvs,
            screen,
            &[
                ("device_name", Settings::set_name),
                ("server_url", Settings::set_server),
            ],
        )?;
        found.take_network(&mut nvs, screen)?;
    }
    if let Some(telemetry) = telemetry {
        // Last, so that this server counts where there are two: it is the one that the id and the token belong to.
        found.take(
            &mut nvs,
            telemetry,
            &[
                ("device_id", Settings::set_device),
                ("device_token", Settings::set_token),
                ("api_url", Settings::set_server),
            ],
        )?;
    }
    Ok(screen.or(telemetry).map(|_| found))
}
