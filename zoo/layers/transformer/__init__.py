"""Transformer decoder and encoder, language-model base class, neuron units, sampling."""
