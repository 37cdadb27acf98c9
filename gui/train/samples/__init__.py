"""The browser of a run's completions: every one of every step, by prompt and reward."""
