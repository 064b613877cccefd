//! The driver on a host: real sockets, plain and in TLS, against a server of a few hundred lines and against certificates that lie.

mod believed;
mod certificates;
mod life;
mod pictures;
mod radio;
mod server;
mod sockets;
mod story;
mod whole;
mod world;
