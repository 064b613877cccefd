//! Boards over real sockets against a small server of the protocol.

mod delivery;
mod firmware;
mod server;
