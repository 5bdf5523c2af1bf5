"""`modelwatch demo`: a real service, two days of made-up traffic with a known shift, and what the service finds."""

from modelwatch.demo.running import DemoFailed, run_demo

__all__ = ["DemoFailed", "run_demo"]
