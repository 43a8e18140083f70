"""Running models: tiles, sessions, lanes and cancellation."""
