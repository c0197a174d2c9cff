"""The house: its floors, and what holds the code to them."""
