//! What an e-mail address, a username, a password and a name must look like. Pure: it knows no database.

use crate::ApiError;

/// The longest e-mail address that mail servers must take (RFC 5321).
const MAX_EMAIL: usize = 254;
/// The longest username: long enough for any name, short enough for a table.
const MAX_USERNAME: usize = 64;
/// Existing clients offer 8 to 72 bytes; 72 is where their bcrypt ended.
const PASSWORD: std::ops::RangeInclusive<usize> = 8..=72;
/// The longest name of a person, in characters.
const MAX_NAME: usize = 120;

/// Checks an e-mail address and returns it in lower case.
///
/// Only ASCII is taken, so that two addresses that look the same are the same.
///
/// # Errors
/// 422 that names `body.email`.
pub fn email(text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    let wrong = || {
        ApiError::invalid(
            &["body", "email"],
            "must be an e-mail address such as ada@example.com",
        )
    };
    let (local, domain) = text.split_once('@').ok_or_else(wrong)?;
    let local_ok = !local.is_empty()
        && local.len() <= 64
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c));
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let domain_ok = domain.contains('.') && domain.split('.').all(label_ok);
    if local_ok && domain_ok && text.len() <= MAX_EMAIL {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(wrong())
    }
}

/// Checks a username and returns it in lower case. It never holds `@`, so it can never pass for an e-mail.
///
/// # Errors
/// 422 that names `body.username`.
pub fn username(text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (3..=MAX_USERNAME).contains(&text.len()) && text.chars().all(fits) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(ApiError::invalid(
        &["body", "username"],
        "must be 3 to 64 letters, digits, `-` or `_`",
    ))
}

/// Checks a new password in the field `field`.
///
/// # Errors
/// 422 that names the field; the password itself is never repeated.
pub fn password(field: &str, text: &str) -> Result<(), ApiError> {
    let has = |f: fn(char) -> bool| text.chars().any(f);
    let strong = has(char::is_lowercase) && has(char::is_uppercase) && has(|c| c.is_ascii_digit());
    if PASSWORD.contains(&text.len()) && strong {
        return Ok(());
    }
    Err(ApiError::invalid(
        &["body", field],
        "must be 8 to 72 characters with a lower-case letter, an upper-case letter and a digit",
    ))
}

/// Checks a person's name; an empty one is none.
///
/// # Errors
/// 422 that names `body.full_name`.
pub fn full_name(text: &str) -> Result<Option<String>, ApiError> {
    let text = text.trim();
    if text.chars().count() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(ApiError::invalid(
            &["body", "full_name"],
            "must be at most 120 characters without control characters",
        ));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_taken_or_refused() {
        assert_eq!(email(" Ada@Example.COM ").unwrap(), "ada@example.com");
        for bad in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "ada@example",
            "a@b@c.de",
            "a b@c.de",
            "ada@-x.de",
            "ada@x..de",
            ".a@x.de",
            "a\n@x.de",
            "ädä@x.de",
            "a@x.de\r\nBcc: b@x.de",
        ] {
            assert!(email(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn passwords_need_three_kinds_of_characters() {
        assert!(password("password", "Abcdefg1").is_ok());
        for bad in ["Abcdef1", "abcdefg1", "ABCDEFG1", "Abcdefgh", ""] {
            assert!(password("password", bad).is_err(), "{bad:?}");
        }
        assert!(password("password", &format!("Aa1{}", "x".repeat(70))).is_err());
    }

    proptest! {
        #[test]
        fn a_username_is_never_an_e_mail(text in ".{0,70}") {
            prop_assert!(username(&text).is_err() || email(&text).is_err());
            if let Ok(name) = username(&text) {
                prop_assert!(!name.contains('@'));
                prop_assert_eq!(username(&name).unwrap(), name);
            }
        }
    }
}
