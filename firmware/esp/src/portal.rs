//! The tasks of the portal in the board's own network.

use embassy_net::Stack;
use espalier_board::portal;
use espalier_board::sockets::PAGES;

use crate::desk::Desk;

/// Gives out addresses.
#[embassy_executor::task]
pub async fn addresses(desk: &'static Desk, stack: Stack<'static>) {
    portal::addresses(desk, stack).await
}

/// Answers every name with the board's address.
#[embassy_executor::task]
pub async fn names(stack: Stack<'static>) {
    portal::names(stack).await
}

/// Serves pages, one connection after the other.
#[embassy_executor::task(pool_size = PAGES)]
pub async fn pages(desk: &'static Desk, stack: Stack<'static>) {
    portal::pages(desk, stack).await
}
