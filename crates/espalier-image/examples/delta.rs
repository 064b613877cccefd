//! Delta patches from the command line, for comparisons with other tools: `delta apply OLD PATCH NEW | delta encode OLD NEW PATCH [WINDOW LOOKAHEAD]`.

use espalier_image::delta::{self, Squeeze};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["apply", old, patch, new] => {
            let made = delta::apply(&std::fs::read(old)?, &std::fs::read(patch)?)?;
            std::fs::write(new, made)?;
            Ok(())
        }
        ["encode", old, new, patch, ref squeeze @ ..] => {
            let (old, new) = (std::fs::read(old)?, std::fs::read(new)?);
            let made = match squeeze {
                [window, lookahead] => delta::encode_with(
                    &old,
                    &new,
                    Squeeze {
                        window: window.parse()?,
                        lookahead: lookahead.parse()?,
                    },
                )?,
                _ => delta::encode(&old, &new)?,
            };
            std::fs::write(patch, made)?;
            Ok(())
        }
        _ => Err(
            "usage: delta apply OLD PATCH NEW | delta encode OLD NEW PATCH [WINDOW LOOKAHEAD]"
                .into(),
        ),
    }
}
