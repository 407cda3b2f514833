"""Damage images as cameras, files and stamps do: pure functions of image and rng, for drawn scenes and photographs.

`scenes` damages square drawn scenes in whole-number arithmetic, so that a seed gives the same bytes everywhere; `photographs`
damages images of any shape in more ways. Both stand on `common`, `kernels` and their marks, `strokes` and `watermarks`.
"""
