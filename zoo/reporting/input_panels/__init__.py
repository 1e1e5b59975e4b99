"""Panels of the page that are drawn for each input: one file each."""
