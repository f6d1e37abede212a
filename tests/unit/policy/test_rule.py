"""What rules are made of."""

from shadow_agent.policy.rule import Action, Change, Edit, Part, Place, Rule


def test_a_rule_matches_everything_unless_it_says_otherwise() -> None:
    """The shortest rule: a name and an action."""
    rule = Rule(name="all", action=Action.DROP)
    assert (rule.methods, rule.path, rule.host, rule.headers, rule.sources) == (
        None, None, None, (), ()
    )  # fmt: skip


def test_rules_are_values() -> None:
    """Equal when they say the same: a reload finds what changed by it."""
    edit = Edit(Place(Part.JSON, "$.id"), Change.PREFIX, "shadow-")
    assert Rule(name="a", action=Action.REWRITE, edits=(edit,)) == Rule(
        name="a",
        action=Action.REWRITE,
        edits=(Edit(Place(Part.JSON, "$.id"), Change.PREFIX, "shadow-"),),
    )
