"""Routes of checks: drift, performance and quality, segments, series and stored verdicts."""
