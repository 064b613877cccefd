//! What is known of boards that do not report: how many bytes they took, whether they took all, whether they came back.

use crate::devices::Device;
use crate::ota::fleet::{self, Fetched};
use crate::ota::library;
use crate::ota::rollouts::{self, Offer};
use crate::{ApiError, AppState};
use espalier_model::{DeviceId, UpdateId};
use espalier_wire::json::Text;
use espalier_wire::ota::{Report, Stage};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Why an attempt failed when the board went on with its old image.
const NOT_TAKEN: &str = "The board did not start the image that it had downloaded.";
/// Why an attempt failed when the board was not heard again.
pub const NO_RETURN: &str = "no_return";
/// Progress is told in so many steps per image.
const STEPS: u64 = 20;
/// How often boards that did not come back are looked for.
const TICK: Duration = Duration::from_secs(10);
/// A board that downloaded an image has at least so many seconds to come back: flash is slow, and so are access points.
const LEAST_PATIENCE_S: u32 = 300;

/// Something to tell [`rollouts`] of a board that does not report by itself.
struct Told {
    device: DeviceId,
    update: UpdateId,
    attempt: u32,
    stage: Stage,
    bytes: Option<u64>,
    reason: Option<&'static str>,
}

/// What travels to whoever stores.
enum Message {
    Told(Told),
    /// Everything before this is stored when it is answered.
    Asked(oneshot::Sender<()>),
}

/// The way from bodies that go out to whoever stores what became of them.
pub struct Progress {
    to: mpsc::UnboundedSender<Message>,
    from: parking_lot::Mutex<Option<mpsc::UnboundedReceiver<Message>>>,
}

impl Default for Progress {
    fn default() -> Self {
        let (to, from) = mpsc::unbounded_channel();
        let from = parking_lot::Mutex::new(Some(from));
        Self { to, from }
    }
}

/// Starts to store what is told, and to look for boards that did not come back.
pub fn start(app: &AppState) {
    let Some(mut told) = app.ota.delivery.progress.from.lock().take() else {
        return;
    };
    let app = app.clone();
    app.tasks.clone().spawn(async move {
        let mut every = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                () = app.shutdown.cancelled() => break,
                _ = every.tick() => give_up(&app),
                next = told.recv() => {
                    let Some(next) = next else { break };
                    pass_on(&app, next).await;
                }
            }
        }
        while let Ok(next) = told.try_recv() {
            pass_on(&app, next).await;
        }
    });
}

/// Looks for boards that did not come back after a download. The server does it every few seconds.
pub fn tick(app: &AppState) {
    give_up(app);
}

fn give_up(app: &AppState) {
    let now = app.clock.now_ms();
    for (id, fetched) in fleet::all_fetched(app) {
        let patience = i64::from(fetched.within_s.max(LEAST_PATIENCE_S)) * 1000;
        if fetched.given_up || now - fetched.at < patience {
            continue;
        }
        tell(app, id, &fetched, Stage::Failed, Some(NO_RETURN));
        let given_up = Fetched {
            given_up: true,
            ..fetched
        };
        fleet::set_fetched(app, id, Some(given_up));
    }
}

/// Waits until everything that was told so far is noted.
pub async fn settled(app: &AppState) {
    let (asker, answer) = oneshot::channel();
    if app
        .ota
        .delivery
        .progress
        .to
        .send(Message::Asked(asker))
        .is_ok()
    {
        // An error means that the server stops, and with it the wait.
        let _ = answer.await;
    }
}

/// A board that had downloaded an image goes on with the old one.
pub fn not_taken(app: &AppState, device: &Device, fetched: &Fetched) {
    if !fetched.given_up {
        tell(app, device.id, fetched, Stage::Failed, Some(NOT_TAKEN));
    }
}

fn tell(
    app: &AppState,
    device: DeviceId,
    of: &Fetched,
    stage: Stage,
    reason: Option<&'static str>,
) {
    let told = Told {
        device,
        update: of.update,
        attempt: of.attempt,
        stage,
        bytes: None,
        reason,
    };
    // The other end lives as long as the app.
    let _ = app.ota.delivery.progress.to.send(Message::Told(told));
}

async fn pass_on(app: &AppState, message: Message) {
    let told = match message {
        Message::Told(told) => told,
        Message::Asked(asker) => {
            // Whoever asked may have gone.
            let _ = asker.send(());
            return;
        }
    };
    let Some(device) = app.devices.get(told.device) else {
        return;
    };
    let report = Report {
        attempt: told.attempt,
        stage: told.stage,
        bytes: told.bytes.and_then(|bytes| u32::try_from(bytes).ok()),
        patch: false,
        running: None,
        reason: told.reason.map(Text::new),
    };
    if let Err(error) = rollouts::report(app, &device, told.update, report).await {
        log(&error);
    }
}

fn log(error: &ApiError) {
    tracing::warn!(%error, cause = error.cause(), "the progress of an update could not be noted");
}

/// Follows the download of an old sketch.
pub struct Following {
    app: AppState,
    device: Arc<Device>,
    ticket: Option<String>,
    fetched: Fetched,
    size: u64,
    steps: u64,
}

impl Following {
    /// Follows a download of what was offered; `ticket` is used up by it.
    pub fn of(app: &AppState, device: &Arc<Device>, offer: &Offer, ticket: Option<String>) -> Self {
        Self {
            app: app.clone(),
            device: device.clone(),
            ticket,
            fetched: Fetched {
                firmware: offer.firmware.id,
                update: offer.update,
                attempt: offer.attempt,
                at: 0,
                within_s: offer.confirm_within_s,
                given_up: false,
            },
            size: offer.firmware.size,
            steps: 0,
        }
    }

    fn done(&mut self) {
        self.fetched.at = self.app.clock.now_ms();
        if let Some(ticket) = self.ticket.take() {
            self.app.ota.delivery.tickets.used(&ticket, self.fetched.at);
        }
        fleet::set_fetched(&self.app, self.device.id, Some(self.fetched.clone()));
        library::count_download(&self.app, self.fetched.firmware);
        tell(
            &self.app,
            self.device.id,
            &self.fetched,
            Stage::Written,
            None,
        );
    }
}

impl super::send::Watch for Following {
    fn sent(&mut self, up_to: u64) {
        let steps = up_to * STEPS / self.size.max(1);
        if steps > self.steps {
            self.steps = steps;
            let told = Told {
                device: self.device.id,
                update: self.fetched.update,
                attempt: self.fetched.attempt,
                stage: Stage::Downloading,
                bytes: Some(up_to),
                reason: None,
            };
            let _ = self.app.ota.delivery.progress.to.send(Message::Told(told));
        }
        if up_to == self.size {
            self.done();
        }
    }
}

/// An old sketch cannot take what it was offered: the attempt failed.
///
/// # Errors
/// Fails when the database does.
pub async fn refused(
    app: &AppState,
    device: &Arc<Device>,
    offer: &Offer,
    reason: &'static str,
) -> Result<(), ApiError> {
    let report = Report {
        attempt: offer.attempt,
        stage: Stage::Failed,
        bytes: None,
        patch: false,
        running: None,
        reason: Some(Text::new(reason)),
    };
    rollouts::report(app, device, offer.update, report).await?;
    Ok(())
}
