"""The sections of a report page, one file each."""
