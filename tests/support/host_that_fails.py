"""A user's module that fails when it is imported."""

TERMS = missing  # noqa: F821
