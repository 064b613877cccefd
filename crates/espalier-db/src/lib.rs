//! One concrete Db over SQLite or PostgreSQL: transactions, migrations, backup.
