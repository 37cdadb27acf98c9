"""Tests of the list of runs and of what is shown of them."""
