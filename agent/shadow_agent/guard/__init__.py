"""Composition of ``guard``: what runs on the shadow's machine, around the shadow build."""
