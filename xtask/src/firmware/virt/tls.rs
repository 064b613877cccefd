//! TLS before the server, by OpenSSL: an authority, a certificate for the host that boards see, and socat that decrypts and passes
//! on. The server itself speaks plain HTTP, as it does behind any proxy.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::scenario::HOST;
use crate::supervised::Supervised;
use crate::{packages, process};

/// Arguments: folder, port of the server. Says `ready PORT`.
const SCRIPT: &str = r#"
read -r _
cd "$1" || exit 1
socat -d -d OPENSSL-LISTEN:0,bind=127.0.0.1,fork,verify=0,cert=server.pem,key=server.key "TCP:127.0.0.1:$2" 2>tls.log &
socat=$!
trap 'kill "$socat" 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM
tries=0
until found=$(grep -o -m 1 'listening on AF=2 127\.0\.0\.1:[0-9]*' tls.log); do
    kill -0 "$socat" 2>/dev/null || { echo "socat ended:"; cat tls.log; exit 1; }
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { echo "socat does not listen:"; cat tls.log; exit 1; }
    sleep 0.1
done
echo "ready ${found##*:}"
cat >/dev/null
"#;

/// A TLS port before a server; closed when dropped.
#[derive(Debug)]
pub struct Tls {
    pub port: u16,
    /// The authority that signed the certificate, in DER, and one of the same name that did not.
    pub authority: PathBuf,
    pub other: PathBuf,
    _script: Supervised,
}

impl Tls {
    /// Opens a port before the server's; the files go to the folder.
    ///
    /// # Errors
    /// When OpenSSL or socat is missing or fails.
    pub fn before(server: u16, folder: &Path) -> Result<Self> {
        if process::find("socat").is_none() || process::find("openssl").is_none() {
            packages::install(&["socat", "openssl"])?;
        }
        let (authority, other) = (
            make_authority(folder, "ca")?,
            make_authority(folder, "other")?,
        );
        make_certificate(folder)?;
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "tls"]).arg(folder);
        let (script, port) = Supervised::start(command.arg(server.to_string()), "")
            .context("socat did not start")?;
        Ok(Tls {
            port: port.parse().context("socat named no port")?,
            authority,
            other,
            _script: script,
        })
    }

    /// Returns the pin of the server: SHA-256 of its public key, as `firmware/README.md` tells people to find it.
    ///
    /// # Errors
    /// When OpenSSL fails.
    pub fn pin(folder: &Path) -> Result<String> {
        let readme = process::root().join("firmware/README.md");
        let readme = std::fs::read_to_string(readme)?;
        let mut lines = readme.lines();
        let line = lines.find(|line| line.starts_with("openssl x509 -in server.pem "));
        let line = line.context("firmware/README.md does not say how to find a pin")?;
        let mut command = Command::new("sh");
        let said = process::read(command.args(["-c", line]).current_dir(folder))?;
        let pin = said.split_whitespace().next();
        Ok(pin.context("the command prints nothing")?.to_owned())
    }
}

fn openssl(folder: &Path, arguments: &str) -> Result<()> {
    let mut command = Command::new("openssl");
    process::read(command.args(arguments.split(' ')).current_dir(folder))?;
    Ok(())
}

/// Makes an authority; returns its certificate in DER.
fn make_authority(folder: &Path, name: &str) -> Result<PathBuf> {
    const NEW: &str = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=house";
    openssl(
        folder,
        &format!("{NEW} -addext keyUsage=critical,keyCertSign -keyout {name}.key -out {name}.pem"),
    )?;
    openssl(
        folder,
        &format!("x509 -in {name}.pem -outform der -out {name}.der"),
    )?;
    Ok(folder.join(format!("{name}.der")))
}

fn make_certificate(folder: &Path) -> Result<()> {
    let says = format!(
        "subjectAltName=IP:{HOST}\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
    );
    std::fs::write(folder.join("server.ext"), says)?;
    openssl(
        folder,
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server -keyout server.key -out server.csr",
    )?;
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile server.ext -out server.pem",
    )
}
