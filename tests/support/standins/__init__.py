"""Small copies of the objects of host codes: their layouts and calls, none of their speed."""
