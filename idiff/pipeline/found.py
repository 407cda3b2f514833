"""Methods of `Pipeline` that are not written down: one for each task whose sentence file notes a command."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from idiff.pipeline.image_input import AnyPicture
from idiff.pipeline.results import Answer
from idiff.utils.task_notes import TaskCommand, task_commands


class Ask(Protocol):
    """How such a method is called; `text` is left out where the task takes no words."""

    def __call__(self, picture: AnyPicture, text: str = "") -> Answer:
        """Ask about an image."""


class FoundCommands:
    """Base of `Pipeline`: `pipe.depth(picture)` for a task `depth`, `pipe.instances(picture, "star")` for one that takes words."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Ask: ...

    @abstractmethod
    def ask(self, task: Any, picture: AnyPicture, text: str = "") -> Answer:
        """Ask the task of this kind."""


def _method(command: TaskCommand) -> Any:
    def asked(self: FoundCommands, picture: AnyPicture, text: str = "") -> Answer:
        return self.ask(command.name, picture, text)

    asked.__name__, asked.__qualname__ = command.name, f"Pipeline.{command.name}"
    words = f"`text` is {command.words}." if command.words else "Words are not needed."
    asked.__doc__ = f"{command.does[0].upper()}{command.does[1:]}: {command.answer}. {words}"
    return asked


for _name, _command in task_commands().items():
    setattr(FoundCommands, _name, _method(_command))
