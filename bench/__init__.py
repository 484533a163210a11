"""Measurements against the budgets of docs/explanation/performance.md; `make bench` runs them all."""
