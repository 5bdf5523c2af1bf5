"""`modelwatch replay`: sends the predictions of a file to a service, as if they happened again."""
