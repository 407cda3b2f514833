"""`idiff instructions`: check sentences that ask for a task, and multiply them."""
