"""Parts that every page is made with: the site, its frame and that of a model, the selection, rendering, signing in."""
