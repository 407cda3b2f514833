"""Choose and make training data: quality filter, inpainted pairs, statistics, contact sheets."""
