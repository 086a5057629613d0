"""Budgets in one file become Prometheus recording and alert rules."""
