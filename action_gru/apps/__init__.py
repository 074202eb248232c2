"""Leaves of the house: nothing in the package imports them."""
