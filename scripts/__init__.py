"""Scripts that set up the environment and write generated pages."""
