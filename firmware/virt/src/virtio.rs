//! What the virtio drivers need: memory that devices see, and the places where QEMU puts devices.

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, Transport as _};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// A way to a device.
pub type Transport = MmioTransport<'static>;

/// Where the first device is, the distance to the next one, and how many there are.
const FIRST: usize = 0x1000_1000;
const STEP: usize = 0x1000;
const COUNT: usize = 8;
/// Pages for the queues of all devices; they are never given back.
const PAGES: usize = 32;

#[repr(C, align(4096))]
struct Pool(UnsafeCell<[[u8; PAGE_SIZE]; PAGES]>);

// SAFETY: there is one hart, and each page is handed out once.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool(UnsafeCell::new([[0; PAGE_SIZE]; PAGES]));
static USED: AtomicUsize = AtomicUsize::new(0);

/// Memory for devices. Physical and virtual addresses are the same here.
pub struct Memory;

// SAFETY: pages come from a static and each is handed out once, zeroed, since it is in `.bss`; addresses are physical ones.
unsafe impl Hal for Memory {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let first = USED.load(Ordering::Relaxed);
        assert!(
            first + pages <= PAGES,
            "the devices need more pages than there are"
        );
        USED.store(first + pages, Ordering::Relaxed);
        let at = POOL.0.get() as usize + first * PAGE_SIZE;
        let place = NonNull::new(at as *mut u8).unwrap_or(NonNull::dangling());
        (at as PhysAddr, place)
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(at: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::new(at as usize as *mut u8).unwrap_or(NonNull::dangling())
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.as_ptr().cast::<u8>() as usize as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// Finds the first device of a kind. Each may be taken once.
pub fn find(kind: DeviceType) -> Option<Transport> {
    (0..COUNT).find_map(|n| {
        let header = NonNull::new((FIRST + n * STEP) as *mut VirtIOHeader)?;
        // SAFETY: QEMU has registers there, whether there is a device behind them or not.
        let transport = unsafe { MmioTransport::new(header, STEP) }.ok()?;
        if transport.device_type() == kind {
            return Some(transport);
        }
        // Dropping it would reset a device that somebody else may use.
        core::mem::forget(transport);
        None
    })
}
