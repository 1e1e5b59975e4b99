"""Reading and checking concept annotations."""
