//! How this installation presents itself: names, notices and switches that apps read before signing in.

use super::Caller;
use crate::{ApiError, AppState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest text of one setting, characters.
const MAX_TEXT: usize = 500;

/// The settings of the platform, in the shape that existing apps read.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlatformSettings {
    /// Names.
    pub branding: Branding,
    /// What the mobile app should know.
    pub mobile_app: MobileApp,
}

/// How the installation is called.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Branding {
    /// The name in title bars.
    pub app_display_name: String,
    /// Whose installation it is.
    pub company_name: String,
    /// The line at the foot of pages.
    pub copyright_text: String,
    /// Whom to ask.
    pub support_email: String,
    /// Where the web app is; empty means the address that was configured.
    pub frontend_url: String,
}

impl Default for Branding {
    fn default() -> Self {
        Self {
            app_display_name: "Espalier".to_owned(),
            company_name: String::new(),
            copyright_text: String::new(),
            support_email: String::new(),
            frontend_url: String::new(),
        }
    }
}

/// What the mobile app should know.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MobileApp {
    /// Whether a notice about maintenance is shown.
    pub maintenance_mode: bool,
    /// The notice.
    pub maintenance_message: String,
    /// Whether the app cannot be used meanwhile.
    pub maintenance_blocking: bool,
    /// Older apps ask to be updated; empty for none.
    pub min_app_version: String,
    /// Which screens the app offers.
    pub feature_flags: FeatureFlags,
}

/// Which screens the app offers.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureFlags {
    /// Connected apps.
    pub connected_apps: bool,
    /// Webhooks.
    pub webhooks: bool,
    /// The card about Kafka.
    pub kafka_pipeline_card: bool,
}

/// The settings and when they were last changed, milliseconds UTC.
///
/// # Errors
/// Fails when the database does.
pub async fn load(app: &AppState) -> Result<(PlatformSettings, Option<i64>), ApiError> {
    let saved = app.db.read(super::store::settings::get).await?;
    let Some((text, at)) = saved else {
        return Ok((PlatformSettings::default(), None));
    };
    let settings = serde_json::from_str(&text).map_err(ApiError::internal)?;
    Ok((settings, Some(at)))
}

/// Replaces the settings.
///
/// # Errors
/// 422 when a text is too long.
pub async fn save(
    app: &AppState,
    caller: &Caller,
    settings: PlatformSettings,
) -> Result<(), ApiError> {
    let b = &settings.branding;
    let texts = [
        ("branding.app_display_name", &b.app_display_name),
        ("branding.company_name", &b.company_name),
        ("branding.copyright_text", &b.copyright_text),
        ("branding.support_email", &b.support_email),
        ("branding.frontend_url", &b.frontend_url),
        (
            "mobile_app.maintenance_message",
            &settings.mobile_app.maintenance_message,
        ),
        (
            "mobile_app.min_app_version",
            &settings.mobile_app.min_app_version,
        ),
    ];
    for (name, text) in texts {
        if text.chars().count() > MAX_TEXT {
            return Err(ApiError::invalid(
                &["body", name],
                "must be at most 500 characters",
            ));
        }
    }
    let text = serde_json::to_string(&settings).map_err(ApiError::internal)?;
    let now = app.clock.now_ms();
    app.db
        .write(move |c| super::store::settings::put(c, &text, now))
        .await?;
    super::audit(
        app,
        caller,
        "settings.save",
        "platform",
        serde_json::json!({}),
    )
    .await
}
