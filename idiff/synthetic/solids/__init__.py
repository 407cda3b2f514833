"""Scenes with a third dimension: boxes, spheres, cylinders and cones on a plane or in a room, with exact depth and normals.

A scene is first described (`description`, `layout`), then seen by a camera (`cast`) and lit (`render`). `samples` turns what was
seen into the facts and maps that a task needs.
"""
