//! The captive portal: what a phone sees that joins the board's own network. Pure: a request in, an answer out; sockets are the
//! binding's.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the page: a form with the networks that were seen |
//! | `POST /submit` | checks and stores the form; the board restarts two seconds later |
//! | `GET /scan` | `[{"ssid","rssi","encryption"}]` of the last scan; an old one is made anew meanwhile |
//! | anything else | 302 to the page: also the addresses by which phones and computers find out about portals |
//!
//! Fields of the form: `device_name`, `wifi_ssid` or `custom_wifi_ssid`, `wifi_password`, `server_url`, `device_id`,
//! `device_token`, `server_pin` (for `https`), `signing_key`, `time_zone`; `occupation`, `ota_username`, `ota_password` and `prefs` of older forms are taken and not used.
//!
//! Whoever knows the password of the board's network may use the portal. Beside that, a form counts only when it was sent to the
//! board's address by a page of the board, so that no page from elsewhere can send one. Stored secrets are never shown.

mod answer;
mod form;
mod page;
mod request;

use heapless::String;

pub use answer::Answer;
use answer::Content;
pub use form::MAX_VALUE;
pub use request::{
    Host, MAX_BODY, MAX_HEAD, MAX_TARGET, Method, REQUEST_TIMEOUT_MS, Refusal, Request,
};

use super::{Notice, Setup};
use crate::config::{MAX_DEVICE_ID, MAX_URL};
use crate::settings::{
    AccessError, MAX_LABEL, MAX_SSID, MAX_TZ, NO_PIN, Network, Settings, SettingsError,
};
use crate::storage::Storage;

/// What a person entered last, shown again when something was wrong with it. No secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Entered {
    pub name: String<MAX_LABEL>,
    pub ssid: String<MAX_SSID>,
    pub server: String<MAX_URL>,
    pub device: String<MAX_DEVICE_ID>,
    pub pin: String<MAX_VALUE>,
    pub key: String<MAX_VALUE>,
    pub zone: String<MAX_TZ>,
}

/// The body of a form.
struct Fields<'f>(&'f [u8]);

impl Fields<'_> {
    /// Returns a value with its spaces; an empty one when it was not sent.
    fn get(&self, name: &str, fault: SettingsError) -> Result<String<MAX_VALUE>, SettingsError> {
        form::field(self.0, name).map_or(Ok(String::new()), |value| value.ok_or(fault))
    }

    fn shown<const N: usize>(&self, name: &str) -> String<N> {
        let value = form::field(self.0, name).flatten().unwrap_or_default();
        String::try_from(value.trim()).unwrap_or_default()
    }
}

const fn fault(name: &'static str, must: &'static str) -> SettingsError {
    SettingsError::Member { name, must }
}

impl Setup {
    /// Answers a request. The answer is sent with [`Setup::answer`]; a form that was taken is stored before this returns.
    pub fn http<S: Storage>(&mut self, now: u64, request: &Request, storage: &mut S) -> Answer {
        self.now = self.now.max(now);
        if let Some(refusal) = request.refusal() {
            let (status, sentence) = refusal.answer();
            return self.begin(status, Content::Sentence(sentence), false);
        }
        let without_body = request.method() == Method::Head;
        let ours = request.host() != Host::Name;
        match (request.method(), request.path()) {
            (Method::Get | Method::Head, "/") if ours => {
                self.used = true;
                if self.scanned_at.is_none() {
                    self.want_scan();
                }
                self.begin(200, Content::Page, without_body)
            }
            (Method::Get | Method::Head, "/scan") if ours => {
                self.used = true;
                if self.scan_is_old() {
                    self.want_scan();
                }
                self.begin(200, Content::Networks, without_body)
            }
            (Method::Post, "/submit") if ours => {
                self.used = true;
                self.submitted(request, storage)
            }
            (Method::Other, _) => {
                self.begin(405, Content::Sentence("Only GET, HEAD and POST."), false)
            }
            _ => self.begin(302, Content::Elsewhere, without_body),
        }
    }

    fn submitted<S: Storage>(&mut self, request: &Request, storage: &mut S) -> Answer {
        if request.is_foreign() {
            let sentence = "The form must be sent by the page of this board.";
            return self.begin(403, Content::Sentence(sentence), false);
        }
        let Some(form) = request.form() else {
            let (status, sentence) = Refusal::Encoding.answer();
            return self.begin(status, Content::Sentence(sentence), false);
        };
        let fields = Fields(form);
        self.form = Entered {
            name: fields.shown("device_name"),
            ssid: match fields.shown::<MAX_SSID>("custom_wifi_ssid") {
                custom if custom.is_empty() => fields.shown("wifi_ssid"),
                custom => custom,
            },
            server: fields.shown("server_url"),
            device: fields.shown("device_id"),
            pin: fields.shown("server_pin"),
            key: fields.shown("signing_key"),
            zone: fields.shown("time_zone"),
        };
        self.shown = self.shown.wrapping_add(1);
        let mut next = self.settings.clone();
        self.notice = match self.take_fields(&fields, &mut next) {
            Err(notice) => notice,
            Ok(()) => match self.save_and_restart(next, storage) {
                Ok(()) => return self.begin(200, Content::Saved, false),
                Err(AccessError::Settings(error)) => Notice::Fault(error),
                Err(AccessError::Storage(_)) => Notice::NotStored,
            },
        };
        let status = if self.notice == Notice::NotStored {
            500
        } else {
            400
        };
        self.begin(status, Content::Page, false)
    }

    /// Takes what was entered into settings; what was left empty stays, except the name.
    fn take_fields(&self, fields: &Fields<'_>, next: &mut Settings) -> Result<(), Notice> {
        let name = fields
            .get("device_name", fault("name", "be shorter"))
            .map_err(Notice::Fault)?;
        if !name.trim().is_empty() {
            next.set_name(name.trim()).map_err(Notice::Fault)?;
        }
        type Set = fn(&mut Settings, &str) -> Result<(), SettingsError>;
        let plain: [(&str, &'static str, Set); 6] = [
            ("server_url", "server", Settings::set_server),
            ("device_id", "device", Settings::set_device),
            ("device_token", "token", Settings::set_token),
            ("server_pin", "pins", Settings::set_pins),
            ("signing_key", "keys", Settings::set_keys),
            ("time_zone", "tz", Settings::set_tz),
        ];
        for (field, member, set) in plain {
            let value = fields
                .get(field, fault(member, "be shorter"))
                .map_err(Notice::Fault)?;
            if !value.trim().is_empty() {
                set(next, value.trim()).map_err(Notice::Fault)?;
            }
        }
        if next.server().is_empty() {
            let missing = fault("server", "be given, like http://192.168.1.10:8000");
            return Err(Notice::Fault(missing));
        }
        if next.lacks_trust() {
            return Err(Notice::Fault(NO_PIN));
        }
        self.take_network(fields, next)
    }

    fn take_network(&self, fields: &Fields<'_>, next: &mut Settings) -> Result<(), Notice> {
        let long = fault("ssid", "have 1 to 32 bytes");
        let get = |name| fields.get(name, long).map_err(Notice::Fault);
        let mut ssid = get("custom_wifi_ssid")?;
        if ssid.is_empty() {
            ssid = get("wifi_ssid")?;
        }
        if ssid.is_empty() {
            let known = !next.networks().is_empty();
            return known.then_some(()).ok_or(Notice::NoNetwork);
        }
        let long = fault("password", "have at most 64 characters");
        let mut password = fields.get("wifi_password", long).map_err(Notice::Fault)?;
        // An empty password of a network that is saved with one, and not seen to be open, means the saved one.
        let seen_open = self
            .seen
            .iter()
            .any(|known| known.ssid == *ssid && known.encryption == 0);
        if password.is_empty()
            && !seen_open
            && let Some(saved) = next.network(&ssid)
        {
            // It is shorter than its room.
            password = String::try_from(saved.password()).unwrap_or_default();
        }
        let seen_locked = self
            .seen
            .iter()
            .any(|known| known.ssid == *ssid && known.encryption != 0);
        if password.is_empty() && seen_locked {
            let missing = fault("password", "be given: this network is not open");
            return Err(Notice::Fault(missing));
        }
        next.put_network(Network::new(&ssid, &password).map_err(Notice::Fault)?);
        Ok(())
    }
}
