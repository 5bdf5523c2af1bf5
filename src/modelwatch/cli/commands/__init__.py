"""The commands, one file each: its options and what it does. Heavy modules are imported when a command runs."""
