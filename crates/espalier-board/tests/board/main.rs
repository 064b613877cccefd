//! The driver on a host: real sockets, plain and in TLS, against a server of a few hundred lines and against certificates that lie.

mod believed;
mod certificates;
mod clock;
mod life;
mod lines;
mod pictures;
mod radio;
mod server;
mod silence;
mod sockets;
mod story;
mod whole;
mod world;
