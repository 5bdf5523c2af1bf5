"""Alerts: their life, who is told, and how it reaches them."""
