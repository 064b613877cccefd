//! When the portal opens, counts as used, and closes. Not its pages.

use super::{Radio, Wifi};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Portal {
    pub opened_at: u64,
    /// When it was opened or someone was there last.
    pub used_at: u64,
    pub used: bool,
    /// Whether someone asked for it.
    pub asked: bool,
    /// Whether a network that was typed in there is tried, or works.
    pub tried: bool,
}

impl Wifi {
    /// Says whether a person is at the portal.
    pub(super) fn is_used(&self) -> bool {
        self.portal.is_some_and(|p| {
            p.used && self.now < p.used_at.saturating_add(self.policy.portal_busy_ms)
        })
    }

    /// The later of a moment and the one at which the person at the portal counts as gone.
    pub(super) fn free_at(&self, at: u64) -> u64 {
        match self.portal {
            Some(p) if p.used => at.max(p.used_at.saturating_add(self.policy.portal_busy_ms)),
            _ => at,
        }
    }

    pub(super) fn open_portal(&mut self, asked: bool) {
        match &mut self.portal {
            Some(portal) if asked => (portal.used_at, portal.asked) = (self.now, true),
            Some(_) => {}
            None => {
                self.portal = Some(Portal {
                    opened_at: self.now,
                    used_at: self.now,
                    used: false,
                    asked,
                    tried: false,
                });
            }
        }
    }

    /// Notes that the person at the portal, if it is open, has typed in a network.
    pub(super) fn note_try(&mut self) {
        if let Some(portal) = &mut self.portal {
            portal.tried = true;
        }
    }

    /// When the portal closes if nothing else happens.
    pub(super) fn portal_ends(&self) -> u64 {
        let Some(portal) = self.portal else {
            return u64::MAX;
        };
        let patience = match self.radio {
            Radio::Online { since, .. }
                if since >= portal.opened_at && (portal.tried || !portal.asked) =>
            {
                self.policy.farewell_ms
            }
            _ => self.policy.portal_idle_ms,
        };
        portal.used_at.saturating_add(patience)
    }

    /// Opens and closes the portal when its time has come.
    pub(super) fn run_portal(&mut self) {
        let now = self.now;
        if self.portal.is_some() && now >= self.portal_ends() {
            self.portal = None;
            // After a pause without success it opens again.
            self.offline_since = now;
            self.inviting = false;
        }
        if self.portal.is_none() && !self.is_online() {
            let unset = self.known.is_empty() && self.inviting;
            let late = !self.known.is_empty()
                && now
                    >= self
                        .offline_since
                        .saturating_add(self.policy.portal_after_ms);
            if unset || late {
                self.open_portal(false);
            }
        }
    }
}
