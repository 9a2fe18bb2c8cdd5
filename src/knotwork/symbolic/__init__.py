"""From trained edges to formulas."""
