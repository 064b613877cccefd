//! Texts for screens: what people wrote themselves, and what comes with the product for those who want it.
//!
//! A device's preferences say which kinds it shows; its owner's sources say where a kind comes from. Texts of one's own are
//! always shown until they expire.

use super::{images, presets, store};
use crate::devices::{self, Device};
use crate::error::ApiResult;
use crate::identity::{Caller, Principal};
use crate::{ApiError, AppState, random};
use espalier_db::Conn;
use espalier_model::{AccountId, Action, DeviceId};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use utoipa::ToSchema;

/// Texts of one account.
const MAX_TEXTS: i64 = 200;
/// The longest title and text, characters.
const MAX_TITLE: usize = 80;
const MAX_BODY: usize = 500;
/// The category of texts of one's own that name none.
pub const CUSTOM: &str = "custom";

/// A text that somebody wrote.
#[derive(Debug, Clone)]
pub struct Text {
    pub id: String,
    pub owner: AccountId,
    /// The device that shows it; without one all of the owner's do.
    pub device: Option<DeviceId>,
    pub category: String,
    pub subcategory: String,
    pub title: String,
    pub body: String,
    pub priority: i64,
    pub expires_at: Option<i64>,
    pub created_at: i64,
}

/// Which kinds of text a screen shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Preferences {
    /// Of `dad_jokes`, `programming_jokes`, `clean_jokes`.
    pub jokes: Vec<String>,
    /// Of `easy_riddles`, `logic_riddles`, `math_riddles`.
    pub riddles: Vec<String>,
    /// Of `tech_news`, `world_news`, `science_news`; empty until a source of news is there.
    pub news: Vec<String>,
}

impl Preferences {
    /// Each category with its chosen subcategories.
    pub fn chosen(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let lists = [
            ("jokes", &self.jokes),
            ("riddles", &self.riddles),
            ("news", &self.news),
        ];
        lists
            .into_iter()
            .flat_map(|(category, list)| list.iter().map(move |name| (category, name.as_str())))
    }

    /// The same without what does not exist and what is said twice.
    #[must_use]
    pub fn known(mut self) -> Self {
        let lists = [
            ("jokes", &mut self.jokes),
            ("riddles", &mut self.riddles),
            ("news", &mut self.news),
        ];
        for (category, list) in lists {
            let mut seen = Vec::new();
            list.retain(|name| {
                let new = presets::of(category, name).is_some() && !seen.contains(name);
                seen.push(name.clone());
                new
            });
        }
        self
    }
}

/// Where the texts of a kind come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The texts that come with the product.
    Preset,
    /// Nowhere: only texts of one's own.
    None,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preset => "preset",
            Self::None => "none",
        }
    }
}

impl FromStr for Source {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "preset" => Ok(Self::Preset),
            "none" => Ok(Self::None),
            _ => Err(format!("{text:?} is not one of: preset, none")),
        }
    }
}

/// One text as a screen shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub category: String,
    pub subcategory: String,
    pub title: Option<String>,
    pub text: String,
    pub answer: Option<String>,
    pub priority: Option<i64>,
}

/// What a device's screen has to say, texts of its owner first.
pub fn items(
    c: &Conn<'_>,
    device: &Device,
    preferences: &Preferences,
    now: i64,
) -> espalier_db::Result<Vec<Item>> {
    let own = store::texts_for(c, device.owner, device.id, now)?;
    let mut items: Vec<Item> = own
        .into_iter()
        .map(|text| Item {
            category: text.category,
            subcategory: text.subcategory,
            title: Some(text.title).filter(|title| !title.is_empty()),
            text: text.body,
            answer: None,
            priority: Some(text.priority),
        })
        .collect();
    let sources = store::sources(c, device.owner)?;
    for (category, subcategory) in preferences.chosen() {
        let off = sources.iter().any(|(of, name, source)| {
            (of.as_str(), name.as_str()) == (category, subcategory) && *source == Source::None
        });
        let texts = presets::of(category, subcategory).unwrap_or_default();
        items.extend(texts.iter().filter(|_| !off).map(|preset| Item {
            category: category.to_owned(),
            subcategory: subcategory.to_owned(),
            title: None,
            text: preset.text.to_owned(),
            answer: preset.answer.map(str::to_owned),
            priority: None,
        }));
    }
    Ok(items)
}

/// A text as it is sent.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct NewText {
    /// The device that shows it; without one every device of yours does.
    pub device_id: Option<String>,
    /// `custom` (the default), `jokes`, `riddles` or `news`.
    pub category: Option<String>,
    /// The subcategory: for `custom` any word, for the others one of theirs.
    pub subcategory: Option<String>,
    /// Up to 80 characters.
    #[serde(default)]
    #[schema(max_length = 80)]
    pub title: String,
    /// 1 to 500 characters.
    #[schema(min_length = 1, max_length = 500)]
    pub text: String,
    /// -100 to 100; the higher is shown first.
    #[serde(default)]
    #[schema(minimum = -100, maximum = 100)]
    pub priority: i64,
    /// When it is no longer shown (RFC 3339).
    pub expires_at: Option<String>,
}

/// Keeps a new text, or the new form of an old one of the caller's.
pub async fn put(
    app: &AppState,
    caller: &Caller,
    id: Option<&str>,
    new: NewText,
) -> ApiResult<Text> {
    images::may_change(caller)?;
    let old = match id {
        Some(id) => Some(own(app, caller, id).await?),
        None => None,
    };
    let owner = old.as_ref().map_or(caller.account, |old| old.owner);
    let text = check(app, caller, owner, old, new)?;
    let row = text.clone();
    let keep = move |c: &Conn<'_>| {
        let known = store::text(c, &row.id)?.is_some();
        if !known && store::count_texts(c, row.owner)? >= MAX_TEXTS {
            let why = format!("An account can have {MAX_TEXTS} texts; delete one first.");
            return Err(ApiError::conflict("too_many_texts", why));
        }
        Ok(store::put_text(c, &row)?)
    };
    app.db.write(keep).await?;
    Ok(text)
}

fn check(
    app: &AppState,
    caller: &Caller,
    owner: AccountId,
    old: Option<Text>,
    new: NewText,
) -> ApiResult<Text> {
    let wrong = |field: &str, why: String| ApiError::invalid(&["body", field], why);
    let clean = |text: &str| -> String {
        text.trim()
            .chars()
            .filter(|c| *c == '\n' || !c.is_control())
            .collect()
    };
    let device = match &new.device_id {
        Some(id) => {
            let principal = Principal::Account(caller.clone());
            let device = devices::require(app, &principal, id, Action::Control)?;
            if device.owner != owner {
                return Err(wrong(
                    "device_id",
                    "is somebody else's device; their owner writes its texts".to_owned(),
                ));
            }
            Some(device.id)
        }
        None => None,
    };
    let category = new.category.unwrap_or_else(|| CUSTOM.to_owned());
    let subcategory = new.subcategory.unwrap_or_else(|| "note".to_owned());
    let fits = if category == CUSTOM {
        espalier_wire::limits::check_key(&subcategory).is_ok() && subcategory.len() <= 40
    } else {
        presets::of(&category, &subcategory).is_some()
    };
    if !fits {
        let why =
            format!("{category}/{subcategory} is no kind of text; GET /screens/sources lists them");
        return Err(wrong("category", why));
    }
    let (title, body) = (clean(&new.title), clean(&new.text));
    if title.chars().count() > MAX_TITLE {
        return Err(wrong(
            "title",
            format!("may have at most {MAX_TITLE} characters"),
        ));
    }
    if !(1..=MAX_BODY).contains(&body.chars().count()) {
        return Err(wrong(
            "text",
            format!("must have 1 to {MAX_BODY} characters"),
        ));
    }
    if !(-100..=100).contains(&new.priority) {
        return Err(wrong("priority", "must be -100 to 100".to_owned()));
    }
    let expires_at = new.expires_at.map(|text| {
        let moment: Result<jiff::Timestamp, _> = text.parse();
        let moment =
            moment.map_err(|_| wrong("expires_at", format!("{text:?} is not an RFC 3339 time")))?;
        Ok::<_, ApiError>(moment.as_millisecond())
    });
    Ok(Text {
        id: old
            .as_ref()
            .map_or_else(|| random::oid(&app.clock).to_string(), |old| old.id.clone()),
        owner,
        device,
        category,
        subcategory,
        title,
        body,
        priority: new.priority,
        expires_at: expires_at.transpose()?,
        created_at: old.map_or_else(|| app.clock.now_ms(), |old| old.created_at),
    })
}

/// The caller's texts, the most important first.
pub async fn list(app: &AppState, caller: &Caller) -> ApiResult<Vec<Text>> {
    let owner = caller.account;
    Ok(app.db.read(move |c| store::texts_of(c, owner)).await?)
}

/// A text of the caller's, or anybody's for an admin.
async fn own(app: &AppState, caller: &Caller, id: &str) -> ApiResult<Text> {
    let id = id.to_owned();
    let found = app.db.read(move |c| store::text(c, &id)).await?;
    found
        .filter(|text| caller.sees(text.owner))
        .ok_or_else(|| ApiError::not_found("Text"))
}

/// Deletes a text of the caller's.
pub async fn delete(app: &AppState, caller: &Caller, id: &str) -> ApiResult<()> {
    images::may_change(caller)?;
    let text = own(app, caller, id).await?;
    app.db
        .write(move |c| store::delete_text(c, &text.id))
        .await?;
    Ok(())
}

/// Says where the texts of a kind come from, for all devices of the caller.
pub async fn set_source(
    app: &AppState,
    caller: &Caller,
    category: &str,
    subcategory: &str,
    source: &str,
) -> ApiResult<Source> {
    images::may_change(caller)?;
    let Some(texts) = presets::of(category, subcategory) else {
        let why =
            format!("{category}/{subcategory} is no kind of text; GET /screens/sources lists them");
        return Err(ApiError::invalid(&["body", "category"], why));
    };
    if source == "api" {
        let why = "this server fetches no texts from elsewhere; write your own with POST /screens/content";
        return Err(ApiError::invalid(&["body", "source_type"], why));
    }
    let source: Source = source
        .parse()
        .map_err(|why: String| ApiError::invalid(&["body", "source_type"], why))?;
    if source == Source::Preset && texts.is_empty() {
        let why = "no news comes with the product; write your own with POST /screens/content";
        return Err(ApiError::invalid(&["body", "source_type"], why));
    }
    let (owner, category, subcategory) =
        (caller.account, category.to_owned(), subcategory.to_owned());
    app.db
        .write(move |c| store::put_source(c, owner, &category, &subcategory, source))
        .await?;
    Ok(source)
}

/// One kind of text and where it comes from.
#[derive(Debug, Serialize, ToSchema)]
pub struct SourceView {
    /// `jokes`, `riddles` or `news`.
    pub category: &'static str,
    /// The subcategory.
    pub subcategory: &'static str,
    /// `preset` or `none`.
    pub source_type: Source,
    /// How many texts it has.
    pub texts: usize,
    /// Why it has none.
    pub note: Option<&'static str>,
}

/// Every kind of text with the caller's source of it.
pub async fn sources(app: &AppState, caller: &Caller) -> ApiResult<Vec<SourceView>> {
    let owner = caller.account;
    let chosen = app.db.read(move |c| store::sources(c, owner)).await?;
    let kinds = presets::KINDS.iter().flat_map(|(category, subcategories)| {
        subcategories
            .iter()
            .map(move |(subcategory, texts)| (*category, *subcategory, texts.len()))
    });
    Ok(kinds
        .map(|(category, subcategory, texts)| {
            let own = chosen
                .iter()
                .find(|(of, name, _)| of == category && name == subcategory);
            let fallback = if texts == 0 {
                Source::None
            } else {
                Source::Preset
            };
            let source_type = own.map_or(fallback, |(_, _, source)| *source);
            SourceView {
                category,
                subcategory,
                source_type,
                texts: if source_type == Source::Preset {
                    texts
                } else {
                    0
                },
                note: (texts == 0).then_some(
                    "No news comes with the product, and none is invented: write your own texts.",
                ),
            }
        })
        .collect())
}
