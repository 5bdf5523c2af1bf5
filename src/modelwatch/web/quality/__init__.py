"""Page of data quality: rules, rates and volume."""
