"""Human alignment (InstructDiffusion, section 3.3): candidates, the picks of people among them, and shards of picks."""
