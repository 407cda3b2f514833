"""The sentences that ask for each task, kept in data files, one a line."""

from idiff.tasks.instructions.bank import InstructionBank, Template

__all__ = ["InstructionBank", "Template"]
