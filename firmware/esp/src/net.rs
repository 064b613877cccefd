//! The network stacks on the radio of the chip, and the client through which the link reaches its server.

use embassy_net::{Runner, Stack, StackResources};
use esp_radio::wifi::Interface;
use espalier_board::sockets::{self, Client, Lines};
use rand_core::RngCore;
use static_cell::{ConstStaticCell, StaticCell};

use crate::random::Random;

/// Bytes that wait to be sent on a connection, and that were received.
const SEND: usize = 2048;
const RECEIVE: usize = 4096;

/// Moves packets between a stack and the radio.
#[embassy_executor::task(pool_size = 2)]
pub async fn carry(mut runner: Runner<'static, Interface>) -> ! {
    runner.run().await
}

/// Makes the stack of the station. Call it once.
pub fn station(random: &mut Random) -> (Stack<'static>, Runner<'static, Interface>) {
    static SOCKETS: StaticCell<StackResources<{ sockets::STATION }>> = StaticCell::new();
    let memory = SOCKETS.init(StackResources::new());
    sockets::station(Interface::station(), memory, random.next_u64())
}

/// Makes the stack of the access point. Call it once.
pub fn portal(random: &mut Random) -> (Stack<'static>, Runner<'static, Interface>) {
    static SOCKETS: StaticCell<StackResources<{ sockets::PORTAL }>> = StaticCell::new();
    let memory = SOCKETS.init(StackResources::new());
    sockets::portal(Interface::access_point(), memory, random.next_u64())
}

/// Makes the way to the server. Call it once.
pub fn client(stack: Stack<'static>) -> Client<'static> {
    static LINES: ConstStaticCell<Lines<SEND, RECEIVE>> = ConstStaticCell::new(Lines::new());
    Client::new(stack, LINES.take())
}
