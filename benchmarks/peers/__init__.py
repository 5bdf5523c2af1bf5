"""`modelwatch compare` beside other libraries for drift: the same two Parquet files, each in its own environment."""
