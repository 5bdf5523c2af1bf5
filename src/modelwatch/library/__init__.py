"""Library for notebooks, pipelines and tests: compares two data sets without a service, and reports on it."""
