"""Turning checkpoints of any kind into MLX models: looking, planning, reading, quantising, writing, judging."""
