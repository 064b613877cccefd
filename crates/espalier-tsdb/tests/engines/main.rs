//! Tests of the engine through its face: against a model, with readers and writers at once, and through failures.
//! On PostgreSQL they run when `TEST_DATABASE_URL` names one; each test uses a schema of its own there.

mod concurrency;
mod durability;
mod model;
mod support;
