"""What a person needs to begin: configurations, files of a new task or data set, and a look at the machine."""
