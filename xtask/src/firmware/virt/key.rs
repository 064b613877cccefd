//! The owner's public key as boards store it. Not the signing, which is the program's.

use anyhow::{Context, Result, ensure};

/// Returns the hexadecimal digits of the key in a `.pub` file.
///
/// # Errors
/// When there is no key in it.
pub fn hex_of(public: &str) -> Result<String> {
    let key = public
        .lines()
        .find_map(|line| line.strip_prefix("key:"))
        .context("the public key has no line `key:`")?;
    let mut bits = 0_u32;
    let mut held = 0;
    let mut hex = String::new();
    for digit in key.trim().trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => anyhow::bail!("the public key is no Base64"),
        };
        (bits, held) = (bits << 6 | u32::from(value), held + 6);
        if held >= 8 {
            held -= 8;
            hex.push_str(&format!("{:02x}", bits >> held & 0xff));
        }
    }
    ensure!(hex.len() == 64, "the public key has {} digits", hex.len());
    Ok(hex)
}

#[cfg(test)]
mod tests {
    use super::hex_of;

    #[test]
    fn keys_are_read() {
        let file = "espalier-public-key-v1\nkey:fy9uHQ1G101ZoHM9clGm8Ti5g3Dpya6mU+Eoh3WX3TQ=\n";
        assert_eq!(
            hex_of(file).unwrap(),
            "7f2f6e1d0d46d74d59a0733d7251a6f138b98370e9c9aea653e128877597dd34"
        );
        assert!(hex_of("key:AAAA").is_err());
        assert!(hex_of("no key").is_err());
    }
}
