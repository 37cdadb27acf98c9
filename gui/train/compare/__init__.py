"""Base and checkpoint side by side: one prompt, two answers."""
