//! QEMU with one emulated board: its power, its serial line, its flash in a file.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longer than anything here takes on a busy machine, so that a hang is told and not waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A board that has power. Dropping it takes the power away.
#[derive(Debug)]
pub struct Machine {
    qemu: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// Everything that came over the serial line and was not looked for yet.
    unread: String,
    /// Everything that came before.
    read: String,
}

impl Machine {
    /// Switches a board on; QEMU is told more where somebody wants that.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub fn power_on(loader: &Path, flash: &Path, more: &[&str]) -> Result<Self> {
        let mut command = Command::new("qemu-system-riscv32");
        command.args([
            "-machine", "virt", "-m", "64M", "-bios", "none", "-display", "none",
        ]);
        command.args(["-monitor", "none", "-serial", "stdio"]);
        command.args(["-global", "virtio-mmio.force-legacy=false"]);
        command.args([
            "-netdev",
            "user,id=net",
            "-device",
            "virtio-net-device,netdev=net",
        ]);
        command.args(["-device", "virtio-rng-device"]);
        command.arg("-drive").arg(format!(
            "id=flash,if=none,format=raw,file={}",
            flash.display()
        ));
        command.args(["-device", "virtio-blk-device,drive=flash"]);
        command.arg("-kernel").arg(loader).args(more);
        let mut qemu = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("qemu-system-riscv32 could not be started")?;
        let input = qemu.stdin.take().context("QEMU without an input")?;
        let mut stdout = qemu.stdout.take().context("QEMU without an output")?;
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(count @ 1..) = stdout.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Machine {
            qemu,
            input,
            output,
            unread: String::new(),
            read: String::new(),
        })
    }

    /// Waits until the board says something over its serial line, after what was waited for before.
    ///
    /// # Errors
    /// When it does not say so for two minutes, or QEMU ends; the message holds the end of what it said.
    pub fn hears(&mut self, text: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.unread.find(text) {
                let rest = self.unread.split_off(at + text.len());
                self.read
                    .push_str(&std::mem::replace(&mut self.unread, rest));
                return Ok(());
            }
            match self
                .output
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(bytes) => self.unread.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the board did not say `{text}` in time; {}", self.said())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("QEMU ended before the board said `{text}`; {}", self.said())
                }
            }
        }
    }

    /// Types a line.
    ///
    /// # Errors
    /// When QEMU is gone.
    pub fn types(&mut self, line: &str) -> Result<()> {
        write!(self.input, "{line}\r")?;
        self.input.flush()?;
        Ok(())
    }

    /// Returns the end of what the board said.
    pub fn said(&self) -> String {
        const SHOWN: usize = 3000;
        let all = format!("{}{}", self.read, self.unread);
        let from = all.len().saturating_sub(SHOWN);
        let from = (from..all.len()).find(|at| all.is_char_boundary(*at));
        format!("its serial line ends with:\n{}", &all[from.unwrap_or(0)..])
    }

    /// Says whether a text came over the serial line at any time.
    pub fn has_said(&self, text: &str) -> bool {
        self.read.contains(text) || self.unread.contains(text)
    }

    /// Waits until the board has switched itself off, and returns the code with which QEMU ended.
    ///
    /// # Errors
    /// When it does not.
    pub fn ends(mut self) -> Result<Option<i32>> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self
                .output
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(bytes) => self.unread.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the board did not switch itself off; {}", self.said())
                }
            }
        }
        Ok(self.qemu.wait()?.code())
    }
}

impl Machine {
    /// Takes the power away, in the middle of whatever the board does.
    pub fn cut_power(&mut self) {
        // It may have ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.cut_power();
    }
}
