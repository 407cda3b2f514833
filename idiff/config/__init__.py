"""Configurations: composition of YAML files, checks on resume, short messages for errors."""
