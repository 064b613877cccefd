//! Finding devices among those that an account may see.

use super::Device;
use super::view::DeviceView;
use crate::identity::{self, Caller};
use crate::{ApiError, AppState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// The largest page.
pub const MAX_LIMIT: usize = 1000;

/// Which devices to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Part of the name, kind, location, a tag, an alias or the id; case does not matter.
    pub q: Option<String>,
    /// A tag it must have.
    pub tag: Option<String>,
    /// A group it must be in.
    pub group: Option<String>,
    /// Whether it is there.
    #[param(inline)]
    pub status: Option<Status>,
    /// Its kind.
    pub kind: Option<String>,
    /// At most so many, 1 to 1000; without it all.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// Leave out so many first.
    pub offset: Option<usize>,
}

/// Whether a device is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Online,
    Offline,
}

impl Filter {
    fn fits(&self, device: &Device, q: Option<&str>) -> bool {
        let has = |list: &[Box<str>], wanted: &Option<String>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| list.iter().any(|entry| **entry == *wanted))
        };
        has(&device.tags, &self.tag)
            && has(&device.groups, &self.group)
            && self
                .status
                .is_none_or(|status| (status == Status::Online) == device.is_online())
            && self
                .kind
                .as_deref()
                .is_none_or(|kind| device.kind.as_deref() == Some(kind))
            && q.is_none_or(|q| mentions(device, q))
    }
}

/// Tells whether a device mentions `q`, which is in lower case.
fn mentions(device: &Device, q: &str) -> bool {
    let contains = |text: &str| text.to_lowercase().contains(q);
    contains(&device.name)
        || device.kind.as_deref().is_some_and(contains)
        || device.location.as_deref().is_some_and(contains)
        || device.tags.iter().any(|tag| contains(tag))
        || device.aliases.iter().any(|alias| contains(alias))
        || device.oid.to_string().contains(q)
}

/// What a caller owns or has shared with them, in order of creation, as far as the access rules let them see it.
pub fn visible(app: &AppState, caller: &Caller) -> Vec<Arc<Device>> {
    let mut found = app.devices.visible_to(caller.account);
    if !identity::by_default(app) {
        found.retain(|device| super::may_watch(app, caller, device, false));
    }
    found
}

/// The devices of a caller that fit, in order of creation, and how many there are without paging.
///
/// # Errors
/// 422 when the limit is out of range.
pub fn devices(
    app: &AppState,
    caller: &Caller,
    filter: &Filter,
) -> Result<(usize, Vec<DeviceView>), ApiError> {
    if filter
        .limit
        .is_some_and(|limit| !(1..=MAX_LIMIT).contains(&limit))
    {
        return Err(ApiError::invalid(
            &["query", "limit"],
            format!("must be 1 to {MAX_LIMIT}"),
        ));
    }
    let q = filter.q.as_deref().map(str::to_lowercase);
    let mut found = visible(app, caller);
    found.retain(|device| filter.fits(device, q.as_deref()));
    let page = found
        .iter()
        .skip(filter.offset.unwrap_or(0))
        .take(filter.limit.unwrap_or(usize::MAX));
    let page = page.map(|device| DeviceView::of(device, caller.account));
    Ok((found.len(), page.collect()))
}

/// A group of devices.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Group")]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How many devices are in it.
    pub device_count: usize,
    /// How many of them are online.
    pub online_count: usize,
}

/// The groups of what a caller may see, by name.
pub fn groups(app: &AppState, caller: &Caller) -> Vec<Group> {
    let mut groups: BTreeMap<Box<str>, (usize, usize)> = BTreeMap::new();
    for device in visible(app, caller) {
        for name in &device.groups {
            let (all, online) = groups.entry(name.clone()).or_default();
            *all += 1;
            *online += usize::from(device.is_online());
        }
    }
    let group = |(name, (device_count, online_count)): (Box<str>, _)| Group {
        name: name.into(),
        device_count,
        online_count,
    };
    groups.into_iter().map(group).collect()
}
