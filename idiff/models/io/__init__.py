"""Read and write models: checkpoints, exported folders, pretrained weights, and where weights come from."""
