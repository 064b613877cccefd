//! Roles of accounts, roles of shares, and the actions they permit.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What an account may do in the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees what is shared with it; changes nothing.
    Viewer,
    /// Owns devices and dashboards of its own. The role of a new account.
    Member,
    /// Manages accounts, rules and every device.
    Admin,
    /// An admin that no other admin can demote or remove; the first account.
    Owner,
}

impl Role {
    /// Tells whether the role manages the installation.
    pub fn is_admin(self) -> bool {
        self >= Self::Admin
    }
}

/// What a person may do with a device that somebody shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShareRole {
    /// Sees values, history and events.
    Viewer,
    /// Also controls: desired state and commands.
    Member,
    /// Also renames, tags, shares on and rotates the token.
    Admin,
}

/// What somebody wants to do with a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// See it.
    Read,
    /// Set desired state, send commands, post values by hand.
    Control,
    /// Change the thing itself, share it, rotate its token.
    Manage,
    /// Delete it or give it away.
    Own,
}

impl ShareRole {
    /// Tells whether a share with this role permits `action`.
    pub fn permits(self, action: Action) -> bool {
        match action {
            Action::Read => true,
            Action::Control => self >= Self::Member,
            Action::Manage => self >= Self::Admin,
            Action::Own => false,
        }
    }
}

macro_rules! names {
    ($type:ident { $($variant:ident => $name:literal),* $(,)? }) => {
        impl $type {
            /// The name on the wire and in the database.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok(Self::$variant),)*
                    _ => Err(format!("{text:?} is not one of: {}", [$($name),*].join(", "))),
                }
            }
        }
    };
}

names!(Role { Viewer => "viewer", Member => "member", Admin => "admin", Owner => "owner" });
names!(ShareRole { Viewer => "viewer", Member => "member", Admin => "admin" });
names!(Action { Read => "read", Control => "control", Manage => "manage", Own => "own" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_never_permits_what_only_the_owner_may() {
        for role in [ShareRole::Viewer, ShareRole::Member, ShareRole::Admin] {
            assert!(role.permits(Action::Read));
            assert!(!role.permits(Action::Own));
        }
        assert!(!ShareRole::Viewer.permits(Action::Control));
        assert!(!ShareRole::Member.permits(Action::Manage));
    }

    #[test]
    fn names_read_back() {
        for role in [Role::Viewer, Role::Member, Role::Admin, Role::Owner] {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err());
    }
}
