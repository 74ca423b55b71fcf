"""What is there, and what should be there. Imports nothing of ours."""
