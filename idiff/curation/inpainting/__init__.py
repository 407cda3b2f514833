"""Editing pairs out of images with masks: objects are taken out, put in, and replaced, by inpainting.

An open substitute for the pairs that InstructDiffusion made of segmentation data (section 4.1, "image editing in the
wild") and never released.
"""
