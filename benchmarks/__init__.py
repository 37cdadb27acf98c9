"""Measurements that print figures and judge nothing: timings are too noisy for tests."""
