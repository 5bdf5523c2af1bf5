"""Writes rules/modelwatch.prometheusrule.yaml: the rules of rules/modelwatch.rules.yaml for the Prometheus operator."""

from __future__ import annotations

import textwrap
from pathlib import Path

RULES = Path(__file__).resolve().parents[1] / "rules"
SOURCE = RULES / "modelwatch.rules.yaml"
TARGET = RULES / "modelwatch.prometheusrule.yaml"

# kube-prometheus-stack takes the rules that carry the name of its release: `prometheus` in the README.
HEAD = """\
# Generated from modelwatch.rules.yaml by `make rules`. `release` must be that of your operator.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: modelwatch
  labels:
    app.kubernetes.io/name: modelwatch
    release: prometheus
spec:
"""


def prometheus_rule(rules: str) -> str:
    """The PrometheusRule that holds a rules file. Raises ValueError when the file does not begin with its groups."""
    comments, found, groups = rules.partition("\ngroups:\n")
    if not found or any(not line.startswith("#") for line in comments.splitlines()):
        raise ValueError("The rules must begin with comments and then `groups:`")
    return HEAD + textwrap.indent(found.lstrip() + groups, "  ")


if __name__ == "__main__":
    TARGET.write_text(prometheus_rule(SOURCE.read_text()))
