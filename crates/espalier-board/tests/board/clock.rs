//! The clock of the tests: embassy's time is that of tokio, so that a test that pauses tokio's clock has minutes pass in no time.
//! Outside a runtime nobody is woken; whoever polls by hand there looks at the time by hand, too.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use std::vec::Vec;

use embassy_time_driver::{Driver, TICK_HZ};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

const MICROS_PER_TICK: u64 = 1_000_000 / TICK_HZ;

std::thread_local! {
    // Every test has its own thread and its own runtime, and so its own time.
    static START: OnceCell<Instant> = const { OnceCell::new() };
    static WAITING: RefCell<Vec<(u64, Arc<Waker>)>> = const { RefCell::new(Vec::new()) };
}

struct Tokio;

impl Driver for Tokio {
    fn now(&self) -> u64 {
        let since = start().elapsed().as_micros();
        u64::try_from(since).unwrap() / MICROS_PER_TICK
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        // A timer asks again whenever it is polled.
        let known = |(when, known): &(u64, Arc<Waker>)| *when == at && known.will_wake(waker);
        if WAITING.with_borrow(|waiting| waiting.iter().any(known)) {
            return;
        }
        let waker = Arc::new(waker.clone());
        WAITING.with_borrow_mut(|waiting| waiting.push((at, Arc::clone(&waker))));
        let moment = start() + Duration::from_micros(at.saturating_mul(MICROS_PER_TICK));
        runtime.spawn(async move {
            sleep_until(moment).await;
            WAITING.with_borrow_mut(|waiting| {
                waiting.retain(|(_, other)| !Arc::ptr_eq(other, &waker));
            });
            waker.wake_by_ref();
        });
    }
}

fn start() -> Instant {
    START.with(|start| *start.get_or_init(Instant::now))
}

embassy_time_driver::time_driver_impl!(static TOKIO: Tokio = Tokio);
