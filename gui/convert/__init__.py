"""The wizard that turns a checkpoint into an MLX model."""
