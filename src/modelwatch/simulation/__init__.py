"""Simulation of a configuration with some traffic: false alarms and delays, before it alerts."""

from modelwatch.simulation.estimates import Delay, Rate
from modelwatch.simulation.experiments import Scenario
from modelwatch.simulation.results import BaselineResult, LookBack, RuleResult, Simulation
from modelwatch.simulation.shifts import Shift
from modelwatch.simulation.simulate import simulate, steps
from modelwatch.simulation.traffic import Arrivals

__all__ = [
    "Arrivals",
    "BaselineResult",
    "Delay",
    "LookBack",
    "Rate",
    "RuleResult",
    "Scenario",
    "Shift",
    "Simulation",
    "simulate",
    "steps",
]
