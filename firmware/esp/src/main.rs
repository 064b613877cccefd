//! The Espalier firmware for ESP32 chips.
#![no_std]
#![no_main]

mod chip;
mod crash;
mod flash;
mod places;
mod reset;

use embassy_executor::Spawner;
use esp_hal::clock::CpuClock;
use esp_hal::rtc_cntl::{Rtc, RwdtStage};
use esp_hal::time::Duration;
use esp_hal::timer::systimer::SystemTimer;
use esp_println::println;

esp_bootloader_esp_idf::esp_app_desc!();

#[esp_rtos::main]
async fn main(spawner: Spawner) -> ! {
    let p = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    let mut rtc = Rtc::new(p.RTC_TIMER);
    rtc.rwdt
        .set_timeout(RwdtStage::Stage0, Duration::from_secs(30));
    rtc.rwdt.enable();
    let reason = reset::boot_reason();
    let mut flash = flash::Flash::new(p.FLASH);
    let places = places::Places::read(&mut flash);
    println!("{} {:?}", chip::NAME, reason);
    if let Ok(places) = &places {
        println!("{}", places.unfence(&mut flash));
    }
    esp_alloc::heap_allocator!(#[esp_hal::ram(reclaimed)] size: 64 * 1024);
    esp_alloc::heap_allocator!(size: 36 * 1024);
    let st = SystemTimer::new(p.SYSTIMER);
    esp_rtos::start(st.alarm0, p.FROM_CPU_INTR0);
    use esp_radio::wifi::{ControllerConfig, WifiController};
    let c = WifiController::new(p.WIFI, ControllerConfig::default()).unwrap();
    let _ = (c, spawner);
    loop {
        embassy_time::Timer::after_secs(1).await;
        rtc.rwdt.feed();
    }
}
