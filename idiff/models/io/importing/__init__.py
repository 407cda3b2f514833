"""Weights of others come in: single files in CompVis' names, training states, old Lightning checkpoints, folders of diffusers."""
