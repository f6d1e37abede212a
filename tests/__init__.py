"""Tests of shadow-agent: unit, property, kernel, net (namespaces) and bench."""
