"""Pages and pictures for people. They read the contract and nothing else."""
