"""Changes of an input under which an explanation should be stable."""
