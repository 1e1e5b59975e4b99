"""Mixture-of-experts layers: routing, experts, decoder with experts."""
