"""The page "Train": new runs, live runs and old ones."""
