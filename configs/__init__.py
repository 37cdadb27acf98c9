"""Files a person can edit: lists and run settings that the program comes with."""
