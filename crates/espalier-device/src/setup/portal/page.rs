//! The page of the portal and the list of networks: everything that came from elsewhere is escaped. Not when it is sent.

use core::fmt::{self, Display, Write};

use espalier_wire::json::ObjectWriter;

use super::answer::Moment;
use crate::schedule::Zone;
use crate::settings::{LOCAL_SERVER, NO_PIN, SettingsError};
use crate::setup::seen::Known;
use crate::setup::{Notice, Setup};

/// A text within HTML, also within quotes.
struct Html<'a>(&'a str);

impl Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c if c.is_control() => f.write_char('\u{fffd}'),
            c => f.write_char(c),
        })
    }
}

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Set up this board</title>
<style>
:root{color-scheme:light dark;--bg:#f4f6f3;--card:#fff;--ink:#1b241d;--soft:#5c6a5f;--line:#d5dcd4;--leaf:#2f7d46;--bad:#a12c22;--badbg:#fdecea}
@media(prefers-color-scheme:dark){:root{--bg:#121613;--card:#1b211d;--ink:#e8ede8;--soft:#9daaa0;--line:#36403a;--leaf:#63b97c;--bad:#ff9d92;--badbg:#3a1d1a}}
*{box-sizing:border-box}
body{margin:0;padding:24px 16px 48px;background:var(--bg);color:var(--ink);font:17px/1.45 system-ui,sans-serif}
main{max-width:440px;margin:auto}
h1{font-size:1.45rem;margin:0 0 4px}
p{margin:0 0 16px;color:var(--soft)}
form,.card{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:18px}
label{display:block;font-weight:600;margin:16px 0 6px}
label:first-child{margin-top:0}
small{display:block;color:var(--soft);margin-top:6px}
input,select{width:100%;font:inherit;color:inherit;background:var(--bg);border:1px solid var(--line);border-radius:10px;padding:11px 12px;min-height:46px}
input:focus-visible,select:focus-visible,button:focus-visible,summary:focus-visible{outline:3px solid var(--leaf);outline-offset:2px}
button{width:100%;min-height:50px;margin-top:22px;border:0;border-radius:10px;background:var(--leaf);color:var(--card);font:inherit;font-weight:700}
.row{display:flex;gap:8px}.row button{width:auto;margin:0;min-height:46px;padding:0 14px;background:none;border:1px solid var(--line);color:inherit;font-weight:500}
summary{margin-top:18px;padding:6px 0;color:var(--soft)}
.bad{background:var(--badbg);color:var(--bad);border-radius:10px;padding:12px 14px;margin:0 0 16px}
</style></head><body><main>
"#;

const FOOT: &str = "</main></body></html>\n";

const SCRIPT: &str = r#"<script>
var s=document.getElementById("s"),c=document.getElementById("c"),o=document.getElementById("o"),b=document.getElementById("b"),z=document.getElementById("z"),n=0;
function other(){c.hidden=o.disabled=s.value!==""}
function add(v,t){var e=document.createElement("option");e.value=v;e.textContent=t;s.add(e,s.options[s.options.length-1])}
function scan(){b.disabled=true;fetch("/scan").then(function(r){return r.json()}).then(function(l){
if(!l.length&&n++<5){setTimeout(scan,2000);return}
var now=s.value;while(s.options.length>1)s.remove(0);
l.forEach(function(w){add(w.ssid,w.ssid+(w.encryption?"":" (open)")+(w.rssi<-80?" (weak)":""))});
if(now&&!l.some(function(w){return w.ssid===now}))add(now,now);
s.value=now;other();b.disabled=false;n=0
}).catch(function(){b.disabled=false})}
function zone(){
function f(t){return-new Date(t).getTimezoneOffset()}
function w(m){var a=Math.abs(m);return(m>0?"-":"")+Math.floor(a/60)+(a%60?":"+("0"+a%60).slice(-2):"")}
function r(e){var d=new Date(e[0]+e[1]*6e4),k=d.getUTCDate(),m=d.getUTCMonth()+1,h=d.getUTCHours();
return",M"+m+"."+(k+7>new Date(Date.UTC(d.getUTCFullYear(),m,0)).getUTCDate()?5:Math.ceil(k/7))+"."+d.getUTCDay()+(h===2?"":"/"+h)}
var y=new Date().getFullYear(),t=Date.UTC(y,0,1),p=f(t),q,e=[];
for(;t<=Date.UTC(y+1,0,1);t+=18e5){q=f(t);if(q!==p)e.push([t,p,q]);p=q}
if(!e.length)return"STD"+w(p);
if(e.length!==2||e[0][1]!==e[1][2])return"";
if(e[0][2]<e[0][1])e.reverse();
return"STD"+w(e[0][1])+"DST"+(e[0][2]-e[0][1]===60?"":w(e[0][2]))+r(e[0])+r(e[1])}
z.value=z.value||zone();s.onchange=other;b.onclick=function(){scan();setTimeout(scan,4000)};other();if(s.options.length<2)scan();
</script>
"#;

/// The first text, or the other one when it is empty.
fn or<'a>(first: &'a str, otherwise: &'a str) -> &'a str {
    if first.is_empty() { otherwise } else { first }
}

/// Writes the page with the form.
pub(super) fn form(setup: &Setup, moment: &Moment, out: &mut impl Write) -> fmt::Result {
    let (settings, entered) = (&setup.settings, &setup.form);
    out.write_str(HEAD)?;
    writeln!(
        out,
        "<h1>Set up this board</h1><p>{} {}, {}</p>",
        Html(&setup.portal_ssid()),
        Html(&setup.about.version),
        Html(&setup.about.chip)
    )?;
    notice(&moment.notice, out)?;
    if let Some(why) = moment.trouble {
        writeln!(
            out,
            "<div class=\"bad\" role=\"status\">The board is in its Wi-Fi and does not reach its server: {}.</div>",
            Html(why)
        )?;
    }
    out.write_str("<form method=\"post\" action=\"/submit\">\n")?;
    let name = or(&entered.name, settings.name());
    writeln!(
        out,
        "<label for=\"n\">Name of the board</label><input id=\"n\" name=\"device_name\" maxlength=\"64\" placeholder=\"Kitchen\" value=\"{}\">",
        Html(name)
    )?;
    out.write_str(
        "<label for=\"s\">Wi-Fi</label><div class=\"row\"><select id=\"s\" name=\"wifi_ssid\">",
    )?;
    options(setup, &moment.seen, out)?;
    out.write_str("</select><button type=\"button\" id=\"b\">Scan</button></div>\n")?;
    let ssid = &setup.form.ssid;
    let is_listed = moment.seen.iter().any(|known| known.ssid == *ssid)
        || setup.settings.network(ssid).is_some();
    let custom = if is_listed { "" } else { ssid.as_str() };
    writeln!(
        out,
        "<div id=\"c\"><label for=\"o\">Name of the Wi-Fi</label><input id=\"o\" name=\"custom_wifi_ssid\" maxlength=\"32\" autocapitalize=\"none\" value=\"{}\"></div>",
        Html(custom)
    )?;
    out.write_str(
        "<label for=\"p\">Wi-Fi password</label><input id=\"p\" name=\"wifi_password\" type=\"password\" maxlength=\"64\" autocomplete=\"off\">\
         <small>Empty for an open network, or to keep the saved password.</small>\n",
    )?;
    identity(setup, &moment.notice, out)?;
    out.write_str("<button>Save and connect</button></form>\n")?;
    out.write_str(SCRIPT)?;
    out.write_str(FOOT)
}

/// Writes the server and who the board is there.
fn identity(setup: &Setup, notice: &Notice, out: &mut impl Write) -> fmt::Result {
    let (settings, entered) = (&setup.settings, &setup.form);
    let server = or(&entered.server, settings.server());
    // One that an older form took and nobody can read would only keep the new form from being taken.
    let zone = Some(settings.tz()).filter(|tz| Zone::parse(tz).is_ok());
    writeln!(
        out,
        "<label for=\"u\">Server</label><input id=\"u\" name=\"server_url\" type=\"url\" maxlength=\"128\" required placeholder=\"http://192.168.1.10:8000\" value=\"{}\">",
        Html(server)
    )?;
    let device = or(&entered.device, settings.device());
    let is_within = |fault: &SettingsError| {
        *fault == NO_PIN || matches!(fault, SettingsError::Member { name: "tz", .. })
    };
    let asked = matches!(notice, Notice::Fault(fault) if is_within(fault));
    let asked = asked || !settings.has_identity();
    let open = if asked { " open" } else { "" };
    let saved = |is: bool| if is { "saved" } else { "" };
    let token = saved(!settings.token().is_empty());
    writeln!(
        out,
        "<details{open}><summary>Who the board is there</summary>\
         <label for=\"d\">Device id</label><input id=\"d\" name=\"device_id\" maxlength=\"64\" autocapitalize=\"none\" value=\"{}\">\
         <label for=\"t\">Device token</label><input id=\"t\" name=\"device_token\" type=\"password\" maxlength=\"128\" autocomplete=\"off\" placeholder=\"{token}\">\
         <small>The server shows both when you add a device there.</small>",
        Html(device)
    )?;
    writeln!(
        out,
        "<label for=\"i\">Server pin, for https</label><input id=\"i\" name=\"server_pin\" maxlength=\"190\" autocapitalize=\"none\" placeholder=\"{}\" value=\"{}\">\
         <small>SHA-256 of the public key of its certificate, 64 hexadecimal digits.</small>\
         <label for=\"k\">Signing key</label><input id=\"k\" name=\"signing_key\" maxlength=\"190\" autocapitalize=\"none\" placeholder=\"{}\" value=\"{}\">\
         <small>Who signs the firmware. Without it the board keeps the first key that the server names.</small>",
        saved(!settings.ca().is_empty() || !settings.pins().is_empty()),
        Html(&entered.pin),
        saved(!settings.keys().is_empty()),
        Html(&entered.key)
    )?;
    writeln!(
        out,
        "<label for=\"z\">Time zone</label><input id=\"z\" name=\"time_zone\" maxlength=\"64\" autocapitalize=\"none\" placeholder=\"UTC0\" value=\"{}\">\
         <small>For schedules by the clock, as a POSIX rule. This page knows that of your device.</small></details>",
        Html(or(&entered.zone, zone.unwrap_or_default()))
    )
}

fn options(setup: &Setup, seen: &[Known], out: &mut impl Write) -> fmt::Result {
    let chosen = match setup.form.ssid.as_str() {
        "" => setup.settings.networks().first().map_or("", |n| n.ssid()),
        ssid => ssid,
    };
    for known in seen {
        let selected = if known.ssid == chosen {
            " selected"
        } else {
            ""
        };
        let open = if known.encryption == 0 { " (open)" } else { "" };
        let weak = if known.rssi < -80 { " (weak)" } else { "" };
        let ssid = Html(&known.ssid);
        write!(
            out,
            "<option value=\"{ssid}\"{selected}>{ssid}{open}{weak}</option>"
        )?;
    }
    let is_seen = seen.iter().any(|known| known.ssid == *chosen);
    let is_saved = setup.settings.network(chosen).is_some();
    if is_saved && !is_seen {
        let ssid = Html(chosen);
        write!(
            out,
            "<option value=\"{ssid}\" selected>{ssid} (saved)</option>"
        )?;
    }
    let other = !chosen.is_empty() && !is_seen && !is_saved;
    let selected = if other { " selected" } else { "" };
    write!(out, "<option value=\"\"{selected}>Other network…</option>")
}

fn notice(notice: &Notice, out: &mut impl Write) -> fmt::Result {
    if *notice == Notice::None {
        return Ok(());
    }
    out.write_str("<div class=\"bad\" role=\"alert\">")?;
    match notice {
        Notice::None => {}
        Notice::Unreadable(error) => write!(
            out,
            "The saved settings cannot be read: {}.",
            Html(&sentence(error))
        )?,
        Notice::Fault(SettingsError::Member { name, must }) => {
            let label = match *name {
                "name" => "The name of the board",
                "server" => "The server",
                "device" => "The device id",
                "token" => "The device token",
                "ssid" => "The name of the Wi-Fi",
                "password" => "The Wi-Fi password",
                "pins" => "The pin of the server",
                "keys" => "The signing key",
                "tz" => "The time zone",
                other => other,
            };
            write!(out, "{} must {}.", Html(label), Html(must))?;
        }
        Notice::Fault(error) => write!(out, "Not saved: {}.", Html(&sentence(error)))?,
        Notice::NoNetwork => out.write_str("Choose a Wi-Fi network or enter its name.")?,
        Notice::NotStored => {
            out.write_str("The board cannot write to its flash: nothing was saved.")?;
        }
        Notice::NotJoined { ssid, refused } => {
            let ssid = Html(ssid);
            match refused {
                true => write!(
                    out,
                    "The Wi-Fi {ssid} refused the password: enter it again."
                )?,
                false => write!(
                    out,
                    "The board could not join the Wi-Fi {ssid}: is it in reach, and 2.4 GHz?"
                )?,
            }
        }
    }
    out.write_str("</div>\n")
}

/// The words of an error.
fn sentence(error: &SettingsError) -> heapless::String<200> {
    let mut out = heapless::String::new();
    // The longest has 150 bytes.
    let _ = write!(out, "{error}");
    out
}

/// Writes the page that says that all is saved.
pub(super) fn saved(setup: &Setup, out: &mut impl Write) -> fmt::Result {
    let settings = &setup.settings;
    out.write_str(HEAD)?;
    out.write_str("<div class=\"card\"><h1>Saved</h1><p>")?;
    if let Some(network) = settings.networks().first() {
        write!(
            out,
            "The board restarts now and joins {}. ",
            Html(network.ssid())
        )?;
    }
    let ssid = setup.portal_ssid();
    write!(
        out,
        "Your phone leaves {ssid} by itself. If the board cannot join, {ssid} comes back after a few minutes.</p>"
    )?;
    if !settings.has_identity() {
        out.write_str(
            "<p>The board has no device id and token yet: add a device on the server, then enter both here or over USB.</p>",
        )?;
    }
    if settings.has_local_server() {
        write!(out, "<p>{}</p>", Html(LOCAL_SERVER))?;
    }
    out.write_str("</div>")?;
    out.write_str(FOOT)
}

/// Writes the networks of the last scan as JSON.
pub(super) fn networks(seen: &[Known], out: &mut impl Write) -> fmt::Result {
    out.write_char('[')?;
    for (n, known) in seen.iter().enumerate() {
        if n > 0 {
            out.write_char(',')?;
        }
        let mut object = ObjectWriter::begin(out)?;
        object.member("ssid", known.ssid.as_str())?;
        object.member("rssi", i64::from(known.rssi))?;
        object.number("encryption", u64::from(known.encryption))?;
        object.end()?;
    }
    out.write_char(']')
}
