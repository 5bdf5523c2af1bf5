"""Views: what is shown of a model, read from the store once, sent by the API as it is and formatted by the pages."""
