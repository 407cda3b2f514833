"""Chains of stages: what runs in which order, and how far a chain is."""
