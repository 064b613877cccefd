//! Delta patches from the command line, for comparisons with other tools: `delta apply OLD PATCH NEW | delta encode OLD NEW PATCH [WINDOW LOOKAHEAD]`.

use espalier_image::delta::{self, BoardPatcher, Failed, Images, Squeeze};
use std::error::Error;

struct Files {
    old: Vec<u8>,
    new: Vec<u8>,
}

impl Images for Files {
    fn read_old(&mut self, at: u32, into: &mut [u8]) -> Result<(), Failed> {
        let at = at as usize;
        into.copy_from_slice(self.old.get(at..at + into.len()).ok_or(Failed)?);
        Ok(())
    }

    fn write_new(&mut self, at: u32, bytes: &[u8]) -> Result<(), Failed> {
        if at as usize != self.new.len() {
            return Err(Failed);
        }
        self.new.extend_from_slice(bytes);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["apply", old, patch, new] => {
            let mut files = Files {
                old: std::fs::read(old)?,
                new: Vec::new(),
            };
            let mut patcher = BoardPatcher::new(u32::try_from(files.old.len())?, u32::MAX);
            for piece in std::fs::read(patch)?.chunks(611) {
                patcher.push(&mut files, piece)?;
            }
            patcher.finish()?;
            std::fs::write(new, &files.new)?;
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
