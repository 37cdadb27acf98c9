"""The window: pages and widgets that show events. Knows no model code."""
