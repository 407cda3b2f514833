"""Before a training: what is trained, what it needs, what it reads, and the cheapest change that makes it fit."""
