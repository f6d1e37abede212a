"""Small patches that each break one promise, and the test that must turn red for it.

A patch is a unified diff below a header of two lines::

    Breaks: what the agent would no longer keep
    Test: tests/unit/…::test_name

``make mutants`` applies each to a copy of the tree and runs its test there. A mutant that
survives (its test stays green) or a patch that no longer applies fails the run.
"""
