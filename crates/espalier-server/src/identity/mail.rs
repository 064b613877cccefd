//! Mail: handed to the operator's SMTP server in the background, so that no request waits for it.
//!
//! Without a configured server the link that would have been mailed is printed to the log for the operator
//! (target `operator`): this is the one place where a one-time secret is logged, because then whoever reads
//! the log is the only one who can pass it on.

use crate::{App, AppState, Config};
use lettre::message::{Mailbox, header::ContentType};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::time::Duration;
use tokio::sync::mpsc;

/// Mails that may wait for the server; more are dropped and logged.
const QUEUE: usize = 256;
/// Attempts per mail, with a pause of one, then four seconds between them.
const ATTEMPTS: u32 = 3;
/// The longest one attempt may take, seconds.
const TIMEOUT_SECONDS: u64 = 20;
/// How long mails that wait may still be sent while the server stops, seconds.
const LAST_SECONDS: u64 = 5;

/// A mail to be sent. Its text may hold a one-time link, so it has no `Debug`.
pub struct Mail {
    /// The address of one person.
    pub to: String,
    /// The subject, one line.
    pub subject: String,
    /// The text, plain.
    pub text: String,
    /// The link in it, for the operator where no mail can be sent.
    pub link: Option<String>,
}

/// Where mails are handed over.
pub struct Outbox {
    to_worker: mpsc::Sender<Mail>,
    from_requests: parking_lot::Mutex<Option<mpsc::Receiver<Mail>>>,
}

impl Default for Outbox {
    fn default() -> Self {
        let (to_worker, from_requests) = mpsc::channel(QUEUE);
        Self {
            to_worker,
            from_requests: parking_lot::Mutex::new(Some(from_requests)),
        }
    }
}

/// Sends a mail soon. It never waits.
pub fn send(app: &App, mail: Mail) {
    if app.config.smtp_url.is_none() {
        if let Some(link) = &mail.link {
            tracing::info!(target: "operator", to = mail.to, subject = mail.subject, link, "no mail server is configured: pass this link on yourself");
        }
        return;
    }
    if app.identity.outbox.to_worker.try_send(mail).is_err() {
        tracing::warn!("a mail was dropped because {QUEUE} others wait; check the mail server");
    }
}

/// Starts the task that sends.
pub fn start(app: &AppState) {
    let Some(mut mails) = app.identity.outbox.from_requests.lock().take() else {
        return;
    };
    let Some(transport) = transport(&app.config) else {
        return;
    };
    let app = app.clone();
    app.tasks.clone().spawn(async move {
        loop {
            tokio::select! {
                Some(mail) = mails.recv() => deliver(&app.config, &transport, mail).await,
                () = app.shutdown.cancelled() => break,
            }
        }
        let rest = async {
            while let Ok(mail) = mails.try_recv() {
                deliver(&app.config, &transport, mail).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(LAST_SECONDS), rest)
            .await
            .is_err()
        {
            tracing::warn!("mails were left unsent because the server stopped");
        }
    });
}

type Transport = AsyncSmtpTransport<Tokio1Executor>;

fn transport(config: &Config) -> Option<Transport> {
    let url = config.smtp_url.as_deref()?;
    match Transport::from_url(url) {
        Ok(builder) => {
            let timeout = Some(Duration::from_secs(TIMEOUT_SECONDS));
            Some(builder.timeout(timeout).build())
        }
        Err(_) => {
            // The error may repeat the URL, and the URL holds a password.
            tracing::error!(
                "smtp_url is not a URL such as smtp://user:password@host:587?tls=required; no mail is sent"
            );
            None
        }
    }
}

async fn deliver(config: &Config, transport: &Transport, mail: Mail) {
    let message = match message(config, mail) {
        Ok(message) => message,
        Err(error) => {
            tracing::error!(%error, "a mail could not be written; check mail_from");
            return;
        }
    };
    for attempt in 1..=ATTEMPTS {
        match transport.send(message.clone()).await {
            Ok(_) => return,
            Err(error) if attempt == ATTEMPTS || error.is_permanent() => {
                tracing::error!(%error, attempt, "a mail could not be sent; check the mail server");
                return;
            }
            Err(_) => tokio::time::sleep(Duration::from_secs(u64::from(attempt * attempt))).await,
        }
    }
}

fn message(config: &Config, mail: Mail) -> anyhow::Result<Message> {
    Ok(Message::builder()
        .from(config.mail_from.parse::<Mailbox>()?)
        .to(Mailbox::new(None, mail.to.parse()?))
        .subject(mail.subject)
        .header(ContentType::TEXT_PLAIN)
        .body(mail.text)?)
}
