"""Talking to a model: sampling, streaming, prompt caches and stored conversations."""
