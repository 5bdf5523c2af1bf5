"""What a monitor says: its values, defaults and problems, and the files that monitors are written in."""
