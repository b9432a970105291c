"""Every run ever made, in a database; the trends that it shows, and where they changed."""
