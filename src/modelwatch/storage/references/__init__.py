"""What production is compared with: references, the layouts that count against them, monitors, segments."""
