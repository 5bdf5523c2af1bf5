"""Pages of alerts: the list, one alert, runbooks, silences and channels."""
