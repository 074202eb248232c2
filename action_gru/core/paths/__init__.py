"""What a path is that a user gave, what its name says, and how it is given back."""
