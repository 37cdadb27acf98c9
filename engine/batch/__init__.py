"""Many prompts answered side by side: where they come from, how they are answered and kept. Knows no window."""
