"""Simulations of the rules: how often they alarm for nothing, and how soon they find what is wrong."""
