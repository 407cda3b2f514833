"""Multiply instructions with a language model behind an OpenAI-compatible endpoint."""
