"""Data quality: rates of what is missing or invalid, single extreme values, volume and freshness."""
