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

const STYLE: &str = ":root{color-scheme:light dark;--bg:#f4f6f3;--card:#fff;--text:#1b241d;--soft:#56635a;--line:#c3ccc5;--go:#1f6b3b;--on-go:#fff;--bad:#a4161a}\
@media(prefers-color-scheme:dark){:root{--bg:#121713;--card:#1b221d;--text:#e8eee9;--soft:#a5b1a8;--line:#435048;--go:#6fcf8f;--on-go:#0c1a11;--bad:#ff9a9e}}\
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:var(--bg);color:var(--text);font:1rem/1.5 system-ui,sans-serif}\
main{width:100%;max-width:26rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1.75rem}\
h1{margin:0 0 .25rem;font-size:1.4rem}p{margin:0 0 1.25rem;color:var(--soft)}label{display:block;font-weight:600;margin:1rem 0 .25rem}\
input{width:100%;padding:.65rem .75rem;font:inherit;color:inherit;background:var(--bg);border:1px solid var(--line);border-radius:.5rem}\
small{color:var(--soft)}button{width:100%;margin-top:1.5rem;padding:.75rem;font:inherit;font-weight:600;color:var(--on-go);background:var(--go);border:0;border-radius:.5rem;cursor:pointer}\
:focus-visible{outline:3px solid var(--go);outline-offset:2px}.problem{margin:0 0 1rem;padding:.65rem .75rem;border-left:4px solid var(--bad);color:var(--bad)}";

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
