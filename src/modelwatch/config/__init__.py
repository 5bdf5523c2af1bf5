"""Settings: settings and monitors, and their sources.

`load_settings` reads the environment, `.env` and `modelwatch.yaml`; `Settings` is what the rest of the service sees.
"""

from modelwatch.config.addresses import redact_url
from modelwatch.config.documentation import SettingDoc, describe_settings
from modelwatch.config.durations import BASE_WINDOW_SECONDS, parse_lookback
from modelwatch.config.loading import load_settings
from modelwatch.config.settings import Settings

__all__ = [
    "BASE_WINDOW_SECONDS",
    "SettingDoc",
    "Settings",
    "describe_settings",
    "load_settings",
    "parse_lookback",
    "redact_url",
]
