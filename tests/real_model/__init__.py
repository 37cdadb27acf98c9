"""Tests that need a real, if small, language model."""
