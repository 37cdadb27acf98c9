"""Everything that computes: models, chat, conversion and training. Knows no window."""
