"""Where a new run is put together: its recipe, settings, data and rewards, and what it will need."""
