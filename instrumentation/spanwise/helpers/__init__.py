"""The span helpers that a program calls: context managers and decorators."""
