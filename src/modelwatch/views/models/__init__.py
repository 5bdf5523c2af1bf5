"""Views of models: the list, the state of one in words, its events, and two sides beside each other."""
