"""Connections to SQLite and PostgreSQL, and statements on their drivers' own cursors."""
