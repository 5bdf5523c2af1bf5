"""What a notebook, a pipeline or a test imports: two data sets compared without a service, and a report about it."""
