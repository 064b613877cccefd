//! How one setting is declared, read, and shown.

use std::net::IpAddr;
use std::path::PathBuf;

/// A type that a setting can have. The text is what the environment and the command line hold.
pub trait SettingValue: Sized {
    /// Reads the value.
    ///
    /// # Errors
    /// Says what is wanted.
    fn read(text: &str) -> Result<Self, String>;
    /// Writes the value as text that reads back.
    fn show(&self) -> String;
    /// Whether the value is a list, written as an array in the file.
    const LIST: bool = false;
    /// Whether the value is written without quotes in the file.
    const BARE: bool = false;
}

impl SettingValue for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        self.clone()
    }
}

impl SettingValue for PathBuf {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("wanted a path".to_owned())
        } else {
            Ok(Self::from(text))
        }
    }
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl SettingValue for IpAddr {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "wanted an IP address".to_owned())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl SettingValue for $type {
            const BARE: bool = true;
            fn read(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("wanted a whole number from 0 to {}", <$type>::MAX))
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
number!(u16, u32);

impl SettingValue for bool {
    const BARE: bool = true;
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" | "" => Ok(false),
            _ => Err("wanted true or false".to_owned()),
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl<T: SettingValue> SettingValue for Option<T> {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Ok(None)
        } else {
            T::read(text).map(Some)
        }
    }
    fn show(&self) -> String {
        self.as_ref().map(T::show).unwrap_or_default()
    }
}

impl<T: SettingValue> SettingValue for Vec<T> {
    const LIST: bool = true;
    fn read(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(T::read)
            .collect()
    }
    fn show(&self) -> String {
        self.iter().map(T::show).collect::<Vec<_>>().join(",")
    }
}

/// Implements [`SettingValue`] for an enum of words.
macro_rules! words {
    ($type:ident { $($variant:ident => $word:literal),* $(,)? }) => {
        impl crate::config::setting::SettingValue for $type {
            fn read(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(format!("wanted one of: {}", [$($word),*].join(", "))),
                }
            }
            fn show(&self) -> String {
                match self { $(Self::$variant => $word),* }.to_owned()
            }
        }
    };
}
pub(super) use words;

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// `espalier.toml`.
    File,
    /// The named environment variable.
    Environment(&'static str),
    /// The command line.
    CommandLine,
}

/// What is known of a setting.
#[derive(Debug, Clone)]
pub struct SettingInfo {
    /// The key in the file.
    pub key: &'static str,
    /// The environment variables that set it, the first one winning.
    pub env: &'static [&'static str],
    /// What it does.
    pub doc: String,
    /// Its default, as text.
    pub default: String,
    /// Whether its value is never shown.
    pub secret: bool,
}

/// Writes a value as TOML.
pub(super) fn toml_literal<T: SettingValue>(value: &T) -> String {
    let quote = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let text = value.show();
    if T::LIST {
        let parts: Vec<String> = text
            .split(',')
            .filter(|part| !part.is_empty())
            .map(quote)
            .collect();
        return format!("[{}]", parts.join(", "));
    }
    if T::BARE { text } else { quote(&text) }
}

/// Writes a value of the file as the text that the environment would hold.
pub(super) fn toml_text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(parts) => parts.iter().map(toml_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Declares `Config` with its fields, their documentation, defaults and environment variables.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr, env [$($env:literal),+] $(, $secret:ident)?;)*) => {
        /// The settings of a server.
        #[derive(Clone)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $name: $type,)*
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl std::fmt::Debug for Config {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("Config {…}")
            }
        }

        impl Config {
            /// What is known of every setting, in the order of declaration.
            pub fn describe() -> Vec<SettingInfo> {
                vec![$(SettingInfo {
                    key: stringify!($name),
                    env: &[$($env),+],
                    doc: [$($doc.trim()),+].join(" "),
                    default: SettingValue::show(&{ let default: $type = $default; default }),
                    secret: [$(stringify!($secret)),*].contains(&"secret"),
                }),*]
            }

            /// Sets one setting by its key.
            ///
            /// # Errors
            /// Names the setting and what is wanted.
            pub fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
                match key {
                    $(stringify!($name) => {
                        self.$name = SettingValue::read(text).map_err(|wanted| format!("{key}: {wanted}"))?;
                    })*
                    _ => {
                        let known = [$(stringify!($name)),*].join(", ");
                        return Err(format!("there is no setting {key:?}; known are: {known}"));
                    }
                }
                Ok(())
            }

            /// Reads the settings from the text of `espalier.toml` and from `env`, and tells where each came from.
            ///
            /// # Errors
            /// Names the first setting that is unknown or does not fit, and what is wanted.
            pub fn load(
                file: &str,
                env: impl Fn(&str) -> Option<String>,
            ) -> Result<(Self, BTreeMap<&'static str, Source>), String> {
                let mut config = Self::default();
                let mut sources = BTreeMap::new();
                let table: toml::Table = file.parse().map_err(|e| format!("espalier.toml: {e}"))?;
                for (key, value) in &table {
                    config.set(key, &setting::toml_text(value)).map_err(|e| format!("espalier.toml: {e}"))?;
                }
                $({
                    let key = stringify!($name);
                    let set = [$($env),+].into_iter().find_map(|name| env(name).map(|text| (name, text)));
                    if let Some((name, text)) = set {
                        config.set(key, &text).map_err(|e| format!("{name}: {e}"))?;
                        sources.insert(key, Source::Environment(name));
                    } else if table.contains_key(key) {
                        sources.insert(key, Source::File);
                    } else {
                        sources.insert(key, Source::Default);
                    }
                })*
                Ok((config, sources))
            }

            /// Prints the settings as a commented `espalier.toml`; secrets are left out.
            pub fn to_toml(&self, sources: &BTreeMap<&'static str, Source>) -> String {
                let mut out = String::from("# Settings of Espalier. Lines that begin with `#` show the default.\n");
                $({
                    for line in [$($doc.trim()),+] {
                        out.push_str(&format!("\n# {line}"));
                    }
                    out.push_str(&format!("\n# Environment: {}\n", [$($env),+].join(", ")));
                    let secret = [$(stringify!($secret)),*].contains(&"secret");
                    let key = stringify!($name);
                    match sources.get(key).copied().unwrap_or(Source::Default) {
                        Source::Default => out.push_str(&format!("# {key} = {}\n", setting::toml_literal(&self.$name))),
                        _ if secret => out.push_str(&format!("# {key} is set; its value is not shown\n")),
                        Source::Environment(name) => {
                            out.push_str(&format!("{key} = {} # from {name}\n", setting::toml_literal(&self.$name)));
                        }
                        _ => out.push_str(&format!("{key} = {}\n", setting::toml_literal(&self.$name))),
                    }
                })*
                out
            }
        }
    };
}
pub(super) use settings;
