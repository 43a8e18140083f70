"""Programs to read and to run: the demo, and the shortest client there is."""
