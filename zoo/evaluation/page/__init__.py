"""What pages show of explained inputs beside the contract: controls, counterfactuals, left-out words, neighbors."""
