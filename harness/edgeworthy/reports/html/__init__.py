"""A run as one page for a browser: a file that loads nothing. Each part of it is a module that makes plain records of rows."""
