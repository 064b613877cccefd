//! The page behind a one-time link: one form, rendered here, without a script.

/// What the page shows.
pub struct Page<'a> {
    /// The secret of the link; it goes back with the form.
    pub token: &'a str,
    /// The account whose password is chosen; `None` for the first account.
    pub account: Option<&'a str>,
    /// What was wrong with the last attempt.
    pub problem: Option<&'a str>,
    /// The e-mail address that was entered.
    pub email: &'a str,
    /// The username that was entered.
    pub username: &'a str,
}

/// The tokens of docs/design.md, so that this page and the app look the same.
const STYLE: &str = ":root{color-scheme:light dark;--ground:light-dark(#f5f7f3,#0e1411);--surface:light-dark(#fff,#151d18);--line:light-dark(#dbe2da,#2a362f);--line-strong:light-dark(#87958b,#66766c);\
--text:light-dark(#16201a,#e8efe9);--soft:light-dark(#526057,#a3b1a8);--brand:light-dark(#17653a,#74d69c);--on-brand:light-dark(#fff,#08170e);--brand-hover:light-dark(#114e2c,#94e3b4);\
--focus:light-dark(#0d57c9,#8fbcff);--failed:light-dark(#b0241d,#ff9f97);--failed-soft:light-dark(#fbe6e3,#3a1a18);--trellis:light-dark(#17653a0d,#74d69c0a);--control:2.375rem}\
@media(pointer:coarse){:root{--control:2.75rem}}\
*,::before{box-sizing:border-box}body{margin:0;min-height:100dvh;display:grid;place-items:center;place-content:center;gap:1rem;grid-template-columns:minmax(0,26rem);padding:1rem;color:var(--text);\
background:repeating-linear-gradient(90deg,transparent 0 3.9rem,var(--trellis) 3.9rem 4rem),repeating-linear-gradient(0deg,transparent 0 3.9rem,var(--trellis) 3.9rem 4rem),var(--ground);\
font:.9375rem/1.45 Inter,system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\
body::before{content:'Espalier';padding:.25rem 0 .25rem 3.25rem;background:url(/icon.svg) left center/2.5rem no-repeat;font-weight:680;font-size:1.375rem;line-height:2rem;letter-spacing:-.02em}\
main{width:100%;background:var(--surface);border:1px solid var(--line);border-radius:.875rem;padding:1.5rem;box-shadow:0 1px 2px light-dark(#16201a12,#0006)}\
h1{margin:0 0 .25rem;font-size:1.375rem;line-height:1.15;font-weight:650;letter-spacing:-.022em}p{margin:0 0 1rem;color:var(--soft)}p strong{color:var(--text)}h1+p:last-child{margin:0}\
label{display:block;margin:1rem 0 .25rem;font-size:.8125rem;font-weight:580}\
input{width:100%;min-height:var(--control);padding:0 .75rem;font:inherit;color:inherit;background:var(--surface);border:1px solid var(--line-strong);border-radius:.625rem}input:hover{border-color:var(--soft)}\
small{display:block;margin-top:.25rem;font-size:.8125rem;color:var(--soft)}\
button{width:100%;min-height:var(--control);margin-top:1.25rem;font:inherit;font-weight:550;color:var(--on-brand);background:var(--brand);border:0;border-radius:.625rem;cursor:pointer}button:hover{background:var(--brand-hover)}\
:focus-visible{outline:2px solid var(--focus);outline-offset:2px}input:focus-visible{outline-offset:-1px;border-color:var(--focus)}\
.problem{padding:.75rem 1rem;color:var(--failed);background:var(--failed-soft);border-radius:.625rem}";

/// Writes text so that it is text in HTML, in an attribute too.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

fn frame(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{title} · Espalier</title>\
         <style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )
}

/// The form.
pub fn form(page: &Page<'_>) -> String {
    let (title, lead) = match page.account {
        None => (
            "Welcome to Espalier",
            "Create the first account. It owns this installation.".to_owned(),
        ),
        Some(name) => (
            "Choose a password",
            format!("You will sign in as <strong>{}</strong>.", escape(name)),
        ),
    };
    let problem = page.problem.map_or(String::new(), |text| {
        format!(
            "<p class=\"problem\" role=\"alert\" id=\"problem\">{}</p>",
            escape(text)
        )
    });
    let names = if page.account.is_some() {
        String::new()
    } else {
        format!(
            "<label for=\"email\">E-mail</label>\
             <input id=\"email\" name=\"email\" type=\"email\" autocomplete=\"email\" required value=\"{}\">\
             <label for=\"username\">Username</label>\
             <input id=\"username\" name=\"username\" autocomplete=\"username\" autocapitalize=\"none\" required minlength=\"3\" maxlength=\"64\" pattern=\"[A-Za-z0-9_\\-]+\" value=\"{}\">",
            escape(page.email),
            escape(page.username)
        )
    };
    let body = format!(
        "<h1>{title}</h1><p>{lead}</p>{problem}<form method=\"post\" action=\"/setup\">\
         <input type=\"hidden\" name=\"token\" value=\"{}\">{names}\
         <label for=\"password\">Password</label>\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"new-password\" required minlength=\"8\" maxlength=\"72\" aria-describedby=\"hint\">\
         <small id=\"hint\">At least 8 characters with lower-case and upper-case letters and a digit.</small>\
         <button>Continue</button></form>",
        escape(page.token)
    );
    frame(title, &body)
}

/// The page for a link that is not good.
pub fn sorry(sentence: &str) -> String {
    let body = format!(
        "<h1>This link does not work</h1><p role=\"alert\">{}</p>",
        escape(sentence)
    );
    frame("This link does not work", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_entered_cannot_become_markup() {
        let evil = "\"><script>alert('x')</script>";
        let page = Page {
            token: evil,
            account: None,
            problem: Some(evil),
            email: evil,
            username: evil,
        };
        assert!(!form(&page).contains("<script"));
        assert!(
            !form(&Page {
                account: Some(evil),
                ..page
            })
            .contains("<script")
        );
        assert!(!sorry(evil).contains("<script"));
    }
}
