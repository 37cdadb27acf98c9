"""The list of runs, what is known of one, its checkpoints, and several side by side."""
