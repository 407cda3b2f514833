"""Score a model on a task, and search for sampling settings."""
