"""The intermediate representation of transformer programs, its interpreter and its verification."""
