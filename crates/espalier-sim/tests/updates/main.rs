//! One board and its updates in virtual time, without sockets: every decision of the machine, and the power failing anywhere.

mod agreement;
mod machine;
mod power_cuts;
mod world;
