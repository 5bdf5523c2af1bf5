"""What a configuration would do with some traffic, tried with random numbers before it is tried on people."""

from modelwatch.simulation.estimates import Delay, Rate
from modelwatch.simulation.experiments import Scenario
from modelwatch.simulation.results import BaselineResult, LookBack, RuleResult, Simulation
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
    "Simulation",
    "simulate",
    "steps",
]
