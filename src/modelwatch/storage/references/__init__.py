"""References that production is compared with, the layouts that count against them, monitors, segments."""
