"""The sentences that ask for each task, kept in data files, one a line."""

from idiff.tasks.instructions.bank import InstructionBank, Phrasings, Template

__all__ = ["InstructionBank", "Phrasings", "Template"]
