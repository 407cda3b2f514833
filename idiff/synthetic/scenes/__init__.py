"""Drawn scenes with exact truth: objects of many kinds and colors, and posed figures, on busy backgrounds.

A scene is first described (`description`), by rules that say what lies where (`layout`, `people`), and then drawn
(`render`), so that it can be drawn again with one thing changed. `samples` turns a drawn scene into the facts that a
task needs; `stats` measures how hard a set is.
"""

from idiff.synthetic.scenes.difficulty import difficulty
from idiff.synthetic.scenes.samples import SCENE_TASKS, VERSION, SceneTask, draw_scene

__all__ = ["SCENE_TASKS", "VERSION", "SceneTask", "difficulty", "draw_scene"]
