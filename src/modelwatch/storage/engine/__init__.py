"""The database: SQLite or PostgreSQL, its tables and migrations, statements for many rows, leases."""
