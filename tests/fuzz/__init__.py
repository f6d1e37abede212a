"""`make fuzz`: coverage-guided fuzzing of the rooms that read hostile bytes.

Needs atheris, which is no part of the development environment: it exists for few machines, and
nothing else uses it. What a run finds becomes a test, in tests/property or tests/unit.
"""
