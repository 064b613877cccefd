//! What can go wrong with the database, as far as a caller can act on it.

/// A database failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A unique constraint was violated; the constraint's or columns' name is given.
    #[error("a row with the same {0} exists already")]
    Unique(String),
    /// A referenced row does not exist.
    #[error("a referenced row does not exist")]
    ForeignKey,
    /// A query that must return a row returned none.
    #[error("the query returned no row")]
    NoRow,
    /// A column is missing or has another type than asked for; a programming error.
    #[error("column {column}: {problem}")]
    Column {
        /// The column's name.
        column: String,
        /// What was found instead.
        problem: String,
    },
    /// The database cannot be opened or reached.
    #[error("cannot open the database {location}: {problem}")]
    Open {
        /// Where it was looked for, without a password.
        location: String,
        /// The driver's words.
        problem: String,
    },
    /// A text holds the character NUL, which PostgreSQL cannot keep or look for.
    #[error("a text holds the character NUL")]
    Nul,
    /// The operation does not exist on this engine.
    #[error("{0} is not supported on this database")]
    Unsupported(&'static str),
    /// The database is closing.
    #[error("the database is closed")]
    Closed,
    /// Anything else the driver reports.
    #[error("database: {0}")]
    Driver(String),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ffi;
        if let rusqlite::Error::SqliteFailure(code, message) = &error {
            match code.extended_code {
                ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                    // "UNIQUE constraint failed: account.email" names the column.
                    let text = message.as_deref().unwrap_or_default();
                    let column = text.rsplit(['.', ' ']).next().unwrap_or("key");
                    return Self::Unique(column.to_owned());
                }
                ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return Self::ForeignKey,
                _ => {}
            }
        }
        Self::Driver(error.to_string())
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        use tokio_postgres::error::SqlState;
        let Some(db) = error.as_db_error() else {
            return Self::Driver(error.to_string());
        };
        match *db.code() {
            SqlState::UNIQUE_VIOLATION => Self::Unique(db.constraint().unwrap_or("key").to_owned()),
            SqlState::FOREIGN_KEY_VIOLATION => Self::ForeignKey,
            // Texts are UTF-8 by their type, so nothing else of them is refused.
            SqlState::CHARACTER_NOT_IN_REPERTOIRE => Self::Nul,
            _ => Self::Driver(db.to_string()),
        }
    }
}
