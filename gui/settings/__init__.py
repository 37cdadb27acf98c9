"""The page of the program's settings. Knows no file format."""
