"""Files that come with the program: the starter model, icons, texts."""
