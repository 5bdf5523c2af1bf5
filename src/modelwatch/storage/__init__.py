"""The only place that speaks SQL, one folder a subject. A folder imports only those below it, see pyproject.toml."""
